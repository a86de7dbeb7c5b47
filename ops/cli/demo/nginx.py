"""The web server's configuration: everything below the demo's folder, loopback only, any user may run it."""

from __future__ import annotations

import os
from pathlib import Path

from ops.cli.demo.layout import ALIAS, NAME, Demo


def write(demo: Demo) -> None:
    """Writes nginx.conf and makes the folders that nginx wants to write to."""
    demo.nginx.mkdir(exist_ok=True)
    (demo.run / "nginx").mkdir(parents=True, exist_ok=True)
    (demo.nginx / "nginx.conf").write_text(text(demo))


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
    """The configuration as text."""
    ports = demo.ports
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
        text/html html; text/css css; text/plain txt; text/xml xml; image/svg+xml svg; image/png png;
    }}
    default_type application/octet-stream;
    charset utf-8;
    charset_types text/css text/plain text/xml;
    access_log {_quoted(demo.logs / "access.log")};
    server_tokens off;
    sendfile on;
    client_max_body_size 64k;
    # Only the site's own names pin browsers to HTTPS: localhost belongs to other programs too.
    map $host $pinned {{ default ""; {NAME} "max-age=31536000"; {ALIAS} "max-age=31536000"; }}
    server {{
        listen 127.0.0.1:{ports.http};
        listen [::1]:{ports.http} ipv6only=on;
        server_name {NAME} {ALIAS} localhost;
        return 301 https://$host:{ports.https}$request_uri;
    }}
    server {{
        listen 127.0.0.1:{ports.https} ssl;
        listen [::1]:{ports.https} ssl ipv6only=on;
        server_name {NAME} {ALIAS} localhost;
        ssl_certificate {_quoted(demo.tls / "server.pem")};
        ssl_certificate_key {_quoted(demo.tls / "server.key")};
        ssl_protocols TLSv1.2 TLSv1.3;
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
        location = /dang-nhap {{ proxy_pass http://127.0.0.1:{ports.app}; proxy_set_header Host $http_host; }}
        location /quan-tri/ {{ proxy_pass http://127.0.0.1:{ports.app}; proxy_set_header Host $http_host; }}
    }}
}}
"""


def _quoted(path: Path) -> str:
    """A path as nginx reads it. `site.make_demo` has refused those that no quoting saves (`$`, `"`, a backslash)."""
    return f'"{path}"'
