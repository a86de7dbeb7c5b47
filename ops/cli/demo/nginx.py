"""The web server's configuration: everything below the demo's folder, loopback only, any user may run it."""

from __future__ import annotations

import os
from pathlib import Path

from ops.cli.demo.layout import ALIAS, NAME, PORTAL, SERVICES, Demo
from ops.model import nfc


def write(demo: Demo) -> None:
    """Writes nginx.conf and makes the folders that nginx wants to write to."""
    demo.nginx.mkdir(exist_ok=True)
    (demo.run / "nginx").mkdir(parents=True, exist_ok=True)
    (demo.nginx / "nginx.conf").write_text(nfc(text(demo)), encoding="utf-8")


def argv(demo: Demo) -> tuple[str, ...]:
    """The command that runs it in the foreground."""
    return ("nginx", "-p", str(demo.root), "-e", str(demo.logs / "nginx.log"), "-c", str(demo.nginx / "nginx.conf"))


def _worker(root: Path) -> str:
    """As root the workers become `nobody`, where that account can reach the folder at all; else they stay root."""
    if os.geteuid() != 0:
        return ""
    reachable = all(folder.stat().st_mode & 0o001 for folder in (root, *root.parents))
    return "user nobody nogroup;\n" if reachable and Path("/etc/debian_version").exists() else "user root root;\n"


def text(demo: Demo) -> str:
    """The configuration as text. The first server of a port answers for addresses and unknown names."""
    temporary = "\n".join(
        f"    {kind}_temp_path {_quoted(demo.run / 'nginx' / kind)};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""{_worker(demo.root)}daemon off;
worker_processes 1;
pid {_quoted(demo.run / "nginx" / "pid")};
error_log {_quoted(demo.logs / "nginx.log")} warn;
events {{ worker_connections 256; }}
http {{
{temporary}
    types {{
        text/html html; text/css css; text/javascript js; text/plain txt; text/xml xml; image/svg+xml svg; image/png png;
    }}
    default_type application/octet-stream;
    charset utf-8;
    charset_types text/css text/javascript text/plain text/xml;
    access_log {_quoted(demo.logs / "access.log")};
    server_tokens off;
    sendfile on;
    client_max_body_size 64k;
    ssl_certificate {_quoted(demo.tls / "server.pem")};
    ssl_certificate_key {_quoted(demo.tls / "server.key")};
    ssl_protocols TLSv1.2 TLSv1.3;
    # Only the site's own names pin browsers to HTTPS: localhost belongs to other programs too.
    map $host $pinned {{ default ""; {NAME} "max-age=31536000"; {ALIAS} "max-age=31536000"; }}
{_site(demo)}{_beside(demo)}}}
"""


def _site(demo: Demo) -> str:
    """The site itself: http leads to https, over both families."""
    ports = demo.ports
    return f"""    server {{
        listen 127.0.0.1:{ports.http};
        listen [::1]:{ports.http} ipv6only=on;
        server_name {NAME} localhost;
        return 301 https://$host:{ports.https}$request_uri;
    }}
    server {{
        listen 127.0.0.1:{ports.https} ssl;
        listen [::1]:{ports.https} ssl ipv6only=on;
        server_name {NAME} localhost;
        root {_quoted(demo.www)};
        index index.html;
        error_page 404 /404.html;
        absolute_redirect off;
        add_header Strict-Transport-Security $pinned always;
        add_header X-Content-Type-Options nosniff always;
        add_header X-Frame-Options DENY always;
        add_header Referrer-Policy strict-origin-when-cross-origin always;
        add_header Permissions-Policy "camera=(), microphone=(), geolocation=()" always;
        add_header Content-Security-Policy "default-src 'self'; frame-ancestors 'none'; form-action 'self'" always;
        location / {{ try_files $uri $uri/ =404; }}
        location ~ ^/(dang-nhap$|tim-kiem$|gui$|quan-tri/) {{
            proxy_pass http://127.0.0.1:{ports.app};
            proxy_set_header Host $http_host;
        }}
    }}
"""


def _beside(demo: Demo) -> str:
    """The site's other name, and the places that its pages link to."""
    ports = demo.ports
    return f"""    # One official address: the other name only leads to it.
    server {{
        listen 127.0.0.1:{ports.http};
        listen [::1]:{ports.http};
        server_name {ALIAS};
        return 301 {demo.url.rstrip("/")}$request_uri;
    }}
    server {{
        listen 127.0.0.1:{ports.https} ssl;
        listen [::1]:{ports.https} ssl;
        server_name {ALIAS};
        add_header Strict-Transport-Security $pinned always;
        return 301 {demo.url.rstrip("/")}$request_uri;
    }}
    # The invented province's portal and public services, so that the links to them lead somewhere.
    server {{
        listen 127.0.0.1:{ports.https} ssl;
        listen [::1]:{ports.https} ssl;
        server_name {PORTAL} {SERVICES};
        default_type text/html;
        return 200 "<!DOCTYPE html><html lang=vi><title>$host</title><p>$host: nơi này không có thật.</p></html>";
    }}
"""


def _quoted(path: Path) -> str:
    """A path as nginx reads it. `site.make_demo` has refused those that no quoting saves (`$`, `"`, a backslash)."""
    return f'"{path}"'
