"""A small real site on loopback to try everything on: `site.make_demo(root)`, then `processes.start(demo)`.

.demo/            one folder; nothing outside it is touched
  gaccong.toml    the configuration, to read and to learn from; sites/xa-mau.toml
  www/ data/      some fifty pages, and the application's SQLite database
  nginx/ tls/     web server on 127.0.0.1 and ::1, certificates of the demo's own authority
  root/           a small Linux server: accounts, keys, sudo, crontab
  roster.csv      who works here; one of them has left
  secrets/        0700
"""
