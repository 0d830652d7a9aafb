# Builds the page in the browser; with the target "export", the model of TensorFlow Serving.
#   docker compose up page                # http://localhost:7860
#   docker compose run --rm export && docker compose up serving
# hadolint global ignore=DL3013
FROM python:3.12-slim AS base

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY residual_encoder residual_encoder


FROM base AS export

RUN pip install ".[serving]" && useradd --create-home --uid 1000 colorizer \
    && mkdir /models && chown colorizer /models
USER 1000
VOLUME /models
# The next version of the model: one above those that are there.
CMD ["sh", "-c", "residual-encoder-export --output=/models/colorizer --version=$(( $(ls /models/colorizer 2>/dev/null | sort -n | tail -n 1) + 1 ))"]


FROM base AS page

RUN pip install ".[web]" && useradd --create-home --uid 1000 colorizer
USER 1000
EXPOSE 7860
HEALTHCHECK --start-period=120s --interval=30s --timeout=5s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/', timeout=4)"]
ENTRYPOINT ["residual-encoder-demo", "--host=0.0.0.0", "--port=7860"]
