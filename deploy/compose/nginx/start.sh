#!/bin/sh
# Put deploy/nginx/nginx.conf and its values together in a folder that can be written, and become nginx.
set -eu

source=${NGINX_SOURCE:-/etc/nginx/marketplace}
folder=${NGINX_FOLDER:-/tmp/nginx}
host=${PUBLIC_HOST:-localhost}
url=${PUBLIC_URL:-https://$host:8443}

mkdir -p "$folder/values" "$folder/tmp"
cp "$source/nginx.conf" "$folder/nginx.conf"
cp "$source"/values/*.conf "$folder/values/"
# How long browsers refuse plain http, for every port of the host: none on a host that has other servers, such as this.
hsts=${HSTS_SECONDS:+max-age=$HSTS_SECONDS}
cat > "$folder/values/http.conf" <<END
access_log /dev/stdout requests;
map \$host \$known_host {
    default "";
    $host 1;
    127.0.0.1 1;
}
map "" \$public_url {
    default $url;
}
map "" \$hsts {
    default "$hsts";
}
client_body_temp_path $folder/tmp/client_body;
proxy_temp_path $folder/tmp/proxy;
fastcgi_temp_path $folder/tmp/fastcgi;
uwsgi_temp_path $folder/tmp/uwsgi;
scgi_temp_path $folder/tmp/scgi;
END
exec "${NGINX_PROGRAM:-nginx}" -p "$folder" -c "$folder/nginx.conf" -e stderr -g 'daemon off;' "$@"
