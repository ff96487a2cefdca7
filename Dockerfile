# One image for every role: the command decides (see docker-compose.yml).
FROM python:3.11-slim

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY assay assay
COPY spaces spaces
COPY search search
COPY workers workers
COPY service service
COPY migrations migrations
RUN pip install --no-cache-dir --constraint constraints.txt ".[server]" \
    && useradd --create-home assay \
    && install --directory --owner assay /data
USER assay
VOLUME /data
ENV ASSAY_DATA_DIR=/data
EXPOSE 8080
CMD ["assay", "up", "--host", "0.0.0.0"]
