"""The places a store remote can be: a folder, a machine reached by ssh, a bucket, a web server."""
