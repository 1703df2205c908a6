"""The smallest lines that servers of each kind write: the same request in every format."""

from __future__ import annotations

CLIENT = "198.51.100.7"
AGENT = "Mozilla/5.0 (X11) Firefox/145.0"
AT_MS = 1_795_165_920_000  # 2026-11-20 09:12 UTC
TIME = "[20/Nov/2026:09:12:00 +0000]"
REST = f'- - {TIME} "GET /p/mug?x=1 HTTP/1.1" 200 512 "https://www.google.com/" "{AGENT}"'
COMBINED = f"{CLIENT} {REST}"

ALB = (
    f"https 2026-11-20T09:12:00.000000Z app/shop/50dc {CLIENT}:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "
    f'"GET https://shop.example:443/p/mug?x=1 HTTP/1.1" "{AGENT}" ECDHE TLSv1.2 arn:aws:group "Root=1-58" '
    '"shop.example" '
    '"arn:aws:cert" 1 2026-11-20T09:12:00.000000Z "forward" "-" "-"'
)
ELB = (
    f"2026-11-20T09:12:00.000000Z balancer {CLIENT}:2817 10.0.0.1:80 0.000086 0.001 0.0013 200 200 0 57 "
    f'"GET https://shop.example:443/p/mug?x=1 HTTP/1.1" "{AGENT}" DHE-RSA TLSv1.2'
)
S3 = (
    f"79a59df9 bucket [20/Nov/2026:09:12:00 +0000] {CLIENT} - 3E57427F WEBSITE.GET.OBJECT p/mug "
    f'"GET /p/mug?x=1 HTTP/1.1" 200 - 113 113 7 6 "https://www.google.com/" "{AGENT}" - s9lz= SigV4 '
    "ECDHE - shop.example T"
)
HAPROXY = (
    f"{CLIENT}:33317 [20/Nov/2026:09:12:00.000] http-in~ static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 "
    f'{{shop.example|{AGENT}|https://www.google.com/}} {{}} "GET /p/mug?x=1 HTTP/1.1"'
)
IIS = (
    "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query c-ip cs(User-Agent) cs(Referer) cs-host sc-status\n"
    f"2026-11-20 09:12:00 10.0.0.1 GET /p/mug x=1 {CLIENT} {AGENT.replace(' ', '+')} https://www.google.com/ "
    "shop.example 200"
)
CLOUDFRONT = (
    "#Version: 1.0\n#Fields: date time sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) "
    f"cs(User-Agent) cs-uri-query x-host-header\n2026-11-20\t09:12:00\t2390\t{CLIENT}\tGET\td1.cloudfront.example\t"
    f"/p/mug\t200\thttps://www.google.com/\t{AGENT.replace(' ', '%2520')}\tx=1\tshop.example"
)
CADDY = (
    f'{{"ts":1795165920.0004,"request":{{"remote_ip":"10.0.0.1","client_ip":"{CLIENT}","method":"GET",'
    f'"host":"shop.example","uri":"/p/mug?x=1","headers":{{"User-Agent":["{AGENT}"],"Referer":["https://www.google.com/"]}}}},"status":200}}'
)
TRAEFIK = (
    f'{{"ClientAddr":"{CLIENT}:5000","ClientHost":"{CLIENT}","DownstreamStatus":200,"RequestHost":"shop.example",'
    f'"RequestMethod":"GET","RequestPath":"/p/mug?x=1","StartUTC":"2026-11-20T09:12:00.000123456Z",'
    f'"request_User-Agent":"{AGENT}","request_Referer":"https://www.google.com/","time":"2026-11-20T09:13:00Z"}}'
)
NGINX_JSON = (
    f'{{"time_local":"20/Nov/2026:09:12:00 +0000","remote_addr":"{CLIENT}","request":"GET /p/mug?x=1 HTTP/1.1",'
    f'"status":"200","http_referer":"https://www.google.com/","http_user_agent":"{AGENT}","host":"shop.example"}}'
)
DOCKER = '{"log":"%s\\n","stream":"stdout","time":"2026-11-20T09:13:00Z"}' % COMBINED.replace('"', '\\"')  # noqa: UP031  # the text is full of braces
