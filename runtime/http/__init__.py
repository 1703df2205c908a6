"""HTTP servers that strangers reach: what a connection may take, for every service that has one."""
