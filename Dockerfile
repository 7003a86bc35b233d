# Rowlock's image: built with make and npm, run with nothing but Python, as an account that may do little.

FROM node:22-bookworm-slim AS build
# hadolint ignore=DL3008 # Debian's stable release keeps its own versions, and drops old ones
RUN apt-get update \
    && apt-get install -y --no-install-recommends make python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN make page
# What is locked, with its hashes; then Rowlock itself, built with what is locked.
RUN python3 -m venv /opt/rowlock \
    && /opt/rowlock/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
    && /opt/rowlock/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /nonexistent rowlock
COPY --from=build /opt/rowlock /opt/rowlock
ENV PATH=/opt/rowlock/bin:$PATH HOST=0.0.0.0 ROWLOCK_LOG_FORMAT=json
USER 10001
WORKDIR /tmp
EXPOSE 8000
# Whether it can serve, as a load balancer would ask.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python3", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ.get(\"PORT\", 8000)}/ready', timeout=4)"]
ENTRYPOINT ["rowlock"]
CMD ["serve"]
