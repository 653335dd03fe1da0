# One image for every part of the shop: the command says which (see compose.yaml).
FROM node:20-bookworm-slim AS explorer
WORKDIR /explorer
COPY clients/explorer/package.json clients/explorer/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY clients/explorer/ ./
RUN npm run build

FROM python:3.11-slim-bookworm
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --create-home --uid 10001 dure && install --directory --owner dure /data
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY db db
COPY messaging messaging
COPY router router
COPY subgraphs subgraphs
COPY dure dure
# Editable, because migrations, demo operations and schema/ are read from the source tree.
RUN pip install --constraint constraints.txt --editable .
COPY schema schema
COPY --from=explorer /explorer/dist clients/explorer/dist
USER dure
VOLUME /data
ENV DURE_DATA_DIR=/data DURE_HOST=0.0.0.0 DURE_BIND_HOST=0.0.0.0
ENTRYPOINT ["dure"]
CMD ["up"]
