# syntax=docker/dockerfile:1
# Two images, one per process: docker build --target api .   and   docker build --target worker .
# Neither has a compiler, an installer's cache, tests or the laptop's launcher in it.

FROM python:3.11-slim-trixie AS builder

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
# Without a pip of its own: the images install nothing after this.
RUN python -m venv --without-pip /opt/corral
# First and alone: the layer stays as it is until a pin changes. Every file must have the hash in the lock,
# and none is built here: a build would run code that no hash covers.
COPY requirements-prod.txt ./
RUN pip --python /opt/corral/bin/python install --require-hashes --no-deps --only-binary :all: -r requirements-prod.txt


FROM python:3.11-slim-trixie AS base

ENV PATH=/opt/corral/bin:$PATH \
    PYTHONPATH=/app \
    # Logs leave at once, and a read-only root has no room for bytecode or caches.
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    CORRAL_DATA_FOLDER=/data \
    CORRAL_LOG_FORMAT=json
# A number that no user of the host is likely to have; a fresh volume takes the folder's owner over.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin corral \
 && install --directory --owner=corral --group=corral --mode=0700 /data
COPY --from=builder /opt/corral /opt/corral
WORKDIR /app
VOLUME /data


FROM base AS api

COPY schemas schemas
COPY producers producers
RUN python -m compileall -q schemas producers
USER corral
# Beyond loopback the API starts only with CORRAL_API_TOKENS.
ENV CORRAL_API_HOST=0.0.0.0 CORRAL_API_PORT=8000
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['CORRAL_API_PORT']}/livez\", timeout=2)"]
ENTRYPOINT ["python", "-m", "producers", "serve"]


FROM base AS worker

# For scanned western text: better and faster than the built-in reader. More languages: tesseract-ocr-<code>.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends tesseract-ocr tesseract-ocr-deu \
 && rm -rf /var/lib/apt/lists/*
COPY schemas schemas
COPY producers producers
COPY worker worker
RUN python -m compileall -q schemas producers worker
USER corral
# onnxruntime reports to its maker unless it is told not to.
ENV CORRAL_WORKER_METRICS_PORT=9100 ORT_DISABLE_TELEMETRY=1
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['CORRAL_WORKER_METRICS_PORT']}/livez\", timeout=2)"]
ENTRYPOINT ["python", "-m", "worker"]
