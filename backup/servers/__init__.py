"""Database servers: how a dump is made at the site (`dumping`), brought into restic (`intake`, `relay`) and rehearsed
on a scratch server of our own (`room`, `mariadb`, `postgresql`).
"""
