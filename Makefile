# make demo    replay real recordings with the shipped model
# make post-demo PORT=8080   the ranger's page, a broker, and three simulated devices
# make test    lint, types, tests, and a small training from recording to detection
# make bench   measure, side by side with other ways to do the same
# make torture SECONDS=300 SEED=1   random faults and malformed input
# make model   train anew what ships, with a cross-validation (needs SHARED; hours)
# make install, make uninstall   the service on this device, as root
# make install-post, make uninstall-post   the ranger's post on this machine, as root
# make clean   remove everything that was made here

PYTHON ?= $(shell command -v python3.11 || echo python3)
SHARED ?= ../shared
SECONDS ?= 300
SEED ?= 1
PORT ?= 8080

VENV := .venv
BIN := $(VENV)/bin
SETTINGS := pyproject.toml .ci/constraints.txt
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	--constraint .ci/constraints.txt
TEST_PACKAGES := chromium espeak-ng g++ libasound2-plugins libmagic1 libportaudio2 mosquitto \
	mosquitto-clients openssl procps pulseaudio pulseaudio-utils sox systemd

# The library writes telemetry files into the user's cache folder otherwise.
export ORT_DISABLE_TELEMETRY = 1
# Its threads wait busily for each other where cores are shared: two made a window cost five.
export OPENBLAS_NUM_THREADS = 1
export TF_CPP_MIN_LOG_LEVEL = 2

.DEFAULT_GOAL := help
.PHONY: help demo post-demo test lint types unit bench model torture install uninstall install-post uninstall-post clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# make/make/p' Makefile

# Each stamp stands for one finished step, so that a second call does nothing.
$(VENV)/pyvenv.cfg:
	@.ci/system-packages $(PYTHON)
	$(PYTHON) -m venv $(VENV)

$(VENV)/runtime.stamp: $(VENV)/pyvenv.cfg $(SETTINGS)
	$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/post.stamp: $(VENV)/runtime.stamp .ci/system-packages
	@.ci/system-packages $(PYTHON) libportaudio2 mosquitto
	$(PIP_INSTALL) --editable '.[post]'
	@touch $@

$(VENV)/test.stamp: $(VENV)/runtime.stamp .ci/system-packages
	@.ci/system-packages $(PYTHON) $(TEST_PACKAGES)
	$(PIP_INSTALL) --editable '.[archive,plot,post,training,dev]'
	@touch $@

demo: $(VENV)/runtime.stamp
	$(BIN)/rainwatchd --file $(DEMO_RECORDINGS)

DEMO_RECORDINGS := $(addprefix tests/recordings/, \
	background/bird_whizz_forest_birds.ogg \
	chainsaw/esc10_freesound-19898.ogg \
	engine/ibm_max_car_engine.ogg \
	storm/relaxing_sounds_thunder_storm.ogg)

# Nothing of it leaves this machine, and nothing of it stays.
post-demo: $(VENV)/post.stamp
	$(BIN)/python -m tests.post.demo --port $(PORT)

test: lint types unit

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/test.stamp
	$(BIN)/mypy

unit: $(VENV)/test.stamp
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

bench: $(VENV)/test.stamp
	$(BIN)/python -m tests.benchmarks

# Three models of a kind that each hold a third of the recordings out say how good the two shipped
# ones are, which hear all that their licence allows. Each run goes on where an interruption left
# it, and runs of one licence share their mixed windows. Training batch norm keeps one core busy
# however many there are, so two models are trained at a time, a thread each.
model: $(VENV)/test.stamp
	$(MAKE) --jobs=2 $(FOLDS) build/final/model.onnx $(OPEN_FOLDS) build/open/model.onnx
	$(MAKE) --jobs=2 build/final/tuned.stamp build/open/tuned.stamp \
		training/baselines/results.json
	$(call INSTALL,open,rainwatch-open)
	$(call INSTALL,final,rainwatch)
	$(EVALUATE) rainwatchd/models/rainwatch-open.onnx --folds $(OPEN_FOLDS) --name "rainwatchd, open" \
		--beside training/baselines/results.json
	$(EVALUATE) rainwatchd/models/rainwatch.onnx --folds $(FOLDS) --twins --against $(OPEN_FOLDS) \
		--beside rainwatchd/models/rainwatch-open.rows.json training/baselines/results.json
	$(BIN)/python -m training halve build/final/model-fp32.onnx tests/models/rainwatch-float.onnx
	$(BIN)/python -m training anchor rainwatchd/models/rainwatch.onnx --examples build/examples
	$(BIN)/python -m training anchor rainwatchd/models/rainwatch-open.onnx --examples build/examples

# Each hears all that was held out, once, and keeps the scores for the card.
build/final/tuned.stamp: build/final/model.onnx $(FOLDS)
	$(TUNE) $< --folds $(FOLDS)
	@touch $@

build/open/tuned.stamp: build/open/model.onnx $(OPEN_FOLDS)
	$(TUNE) $< --folds $(OPEN_FOLDS)
	@touch $@

# Half an hour; delete it where streams or allowances have changed.
training/baselines/results.json: | $(FOLDS)
	$(BIN)/python -m training baselines $@ --data $(SHARED)/data/manifest.csv $(ALLOWED) \
		--folds $(FOLDS)

# For none as many come on other land, and fewer saws are found: the card has both.
ALLOWED := --false-alarms 1 --machines 0.05
TUNE := $(BIN)/python -m training tune --data $(SHARED)/data/manifest.csv $(ALLOWED)
EVALUATE := $(BIN)/python -m training evaluate --data $(SHARED)/data/manifest.csv $(ALLOWED) \
	--notes training/limits.md

# 1: folder in build, 2: name in the package
define INSTALL
	install -m 644 build/$(1)/model.onnx rainwatchd/models/$(2).onnx
	install -m 644 build/$(1)/model.json rainwatchd/models/$(2).json
endef

FOLDS := $(foreach part,1 2 3,build/fold$(part)/model.onnx)
OPEN_FOLDS := $(foreach part,1 2 3,build/open-fold$(part)/model.onnx)
TRAIN := OPENBLAS_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 \
	$(BIN)/python -m training train --data $(SHARED)/data/manifest.csv --mixed build/examples
# Fewer recordings give fewer windows.
OPEN_TRAIN := $(TRAIN) --licence open --examples 12000
VERSION = --version $(shell $(BIN)/python -c 'import rainwatchd; print(rainwatchd.__version__)')

# Tools that were installed anew make no model old.
build/fold%/model.onnx: | $(VENV)/test.stamp
	$(TRAIN) $(@D) --fold $*

build/open-fold%/model.onnx: | $(VENV)/test.stamp
	$(OPEN_TRAIN) $(@D) --fold $*

build/final/model.onnx: | $(VENV)/test.stamp
	$(TRAIN) $(@D) --name rainwatch-mobilenetv2 $(VERSION)

build/open/model.onnx: | $(VENV)/test.stamp
	$(OPEN_TRAIN) $(@D) --name rainwatch-open-mobilenetv2 $(VERSION)

torture: $(VENV)/test.stamp
	$(BIN)/python -m tests.torture --seconds $(SECONDS) --seed $(SEED)

install uninstall:
	PYTHON=$(PYTHON) systemd/install.sh $@

install-post uninstall-post:
	PYTHON=$(PYTHON) systemd/install-post.sh $(@:-post=)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
