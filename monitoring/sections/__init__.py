"""Parts of `[site.NAME.monitoring]`, one file each: `[site.NAME.monitoring.web]`, `.dns`, `.renewal`, `.content`, `.host`."""
