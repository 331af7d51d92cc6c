# The broker as an image: `docker build --tag live-broker .` With `--target standin`: `broker dev` for one machine.

FROM node:22-bookworm-slim AS bundle
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY scripts/bundle.mjs scripts/
COPY web web
RUN node scripts/bundle.mjs

FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements requirements
RUN python -m venv /opt/standin \
 && /opt/standin/bin/python -m pip install --no-deps --require-hashes -r requirements/run.txt
RUN python -m venv --without-pip /opt/live-broker \
 && python -m pip --python /opt/live-broker/bin/python install --no-deps --require-hashes -r requirements/production.txt
COPY pyproject.toml README.md LICENSE ./
COPY broker broker
COPY --from=bundle /src/web web
RUN /opt/standin/bin/python -m hatchling build --target wheel --directory /wheel \
 && for venv in /opt/standin /opt/live-broker; do \
      python -m pip --python "$venv/bin/python" install --no-deps --no-index /wheel/*.whl || exit 1; \
    done

FROM python:3.13-slim-bookworm AS base
# With a read-only root, only /dev/shm can be written: for gunicorn's heartbeat files and the metrics.
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TMPDIR=/dev/shm
# SQLite's folder, if no DATABASE_URL is set. Any user ID may write to it.
RUN install --directory --mode=1777 /data
WORKDIR /data
USER 10001:10001

FROM base AS standin
COPY --from=build /opt/standin /opt/standin
ENV PATH=/opt/standin/bin:$PATH
CMD ["broker", "dev"]

# The last stage is the default target.
FROM base AS broker
COPY --from=build /opt/live-broker /opt/live-broker
ENV PATH=/opt/live-broker/bin:$PATH
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
  CMD ["python", "-c", "import http.client, os, sys; probe = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 8080), timeout=4); probe.request('GET', '/healthz'); sys.exit(probe.getresponse().status != 200)"]
CMD ["gunicorn", "--config", "python:broker.gunicorn_conf", "broker.app:create_app()"]
