"""The site: settings, urls, wsgi. The only place that knows both apps."""
