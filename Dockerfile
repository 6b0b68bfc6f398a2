# One image for web and worker; compose.yaml shows how they run.

FROM python:3.12-slim AS packages
COPY requirements/run.lock /run.lock
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /run.lock

FROM python:3.12-slim
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --system --uid 10001 --home-dir /app refunddash
WORKDIR /app
COPY --from=packages /opt/venv /opt/venv
COPY manage.py ./
COPY templates templates
COPY connectors connectors
COPY refunds refunds
COPY refunddash refunddash
# Collecting static files reads no secret, but the settings insist on some.
RUN python -m compileall -q connectors refunds refunddash \
    && REFUNDDASH_SECRET_KEY=build REFUNDDASH_LOOKUP_KEY=build REFUNDDASH_ALLOWED_HOSTS=build \
       REFUNDDASH_FIELD_KEYS=build:0000000000000000000000000000000000000000000000000000000000000000 \
       python manage.py collectstatic --noinput --verbosity 0 \
    && chown -R refunddash var
USER refunddash
EXPOSE 8000
# Many threads of one process share the group commit of webhooks; the idle ones keep their database connections.
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "--workers", "2", \
     "--blocking-threads", "16", "--blocking-threads-idle-timeout", "600", \
     "--workers-kill-timeout", "35", "--no-ws", "refunddash.wsgi:application"]
