# FairMOT for CPUs: docker build -t fairmot . (docs/cameras.md says how to run it)
FROM python:3.11-slim AS build
# An index with CPU builds of PyTorch, given by --build-arg, makes the image smaller.
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/fairmot
ENV PATH=/opt/fairmot/bin:$PATH

# The steps of tools/setup_env.sh, without what only tests need. Versions as there.
RUN pip install torch==2.14.1 torchvision==0.29.1
COPY . /source
# Without MMCV's operators, whose compilation takes a quarter of an hour.
RUN MMCV_WITH_OPS=0 pip install "/source[mm,cameras,onnx,openvino]"
# No graphics library here: the build of OpenCV that does without takes its place.
RUN version=$(pip show opencv-python | sed -n 's/^Version: //p') && \
    pip uninstall -y opencv-python && \
    pip install --force-reinstall --no-deps "opencv-python-headless==$version" && \
    python -c 'import cv2, mmcv, mmdet, mmengine, torch, fairmot_mm'

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home fairmot && \
    install --directory --owner fairmot --group fairmot /data
COPY --from=build /opt/fairmot /opt/fairmot
ENV PATH=/opt/fairmot/bin:$PATH PYTHONUNBUFFERED=1
USER fairmot
WORKDIR /data
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["fairmot"]
CMD ["--help"]
