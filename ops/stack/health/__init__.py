"""How a process is asked how it is, and when it hangs."""
