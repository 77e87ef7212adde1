# make demo: simulate a scene with its quiet past, train on that without a label, map the event, score it.
# make test: all tests. make lint: CI's other checks.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := data/demo
RUN := outputs/demo
MAP := maps/demo
FLOOR := maps/demo_log_ratio

.PHONY: demo test lint docs clean

demo: $(VENV)/.installed
	$(BIN)/landslide simulate root=$(DEMO) 'size=[768,1024]' dates.before=8 'polarisations=[vv,vh]' overwrite=true
	$(BIN)/python train.py experiment=tonight dataset.root=$(DEMO) trainer=cpu batch_size=4 scheduler=cosine trainer.max_time=null trainer.max_epochs=14 hydra.run.dir=$(RUN)
	$(BIN)/python predict.py checkpoint=$(RUN)/checkpoints/best.ckpt scene=$(DEMO) output=$(MAP)
	$(BIN)/python predict.py checkpoint=log_ratio scene=$(DEMO) output=$(FLOOR)
	$(BIN)/landslide compare 'maps=[$(MAP),$(FLOOR)]'

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Runs again when the requirements change. An environment that exists keeps its packages.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): over 5 GB, some minutes"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,docs,joblib,onnx,openvino,optuna,safe,stac,submitit,tensorboard]"
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) $(RUN) $(MAP) $(FLOOR)
