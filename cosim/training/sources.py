"""Tasks on data that a user has, and with models of other sizes."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cosim.datasets.imagenet import ImageNet
from cosim.datasets.subwords import Subwords
from cosim.datasets.tokens import END
from cosim.datasets.wmt import ParallelText, filled, find_texts, read_pairs
from cosim.models.decode import greedy
from cosim.training.tasks import Task, get_task
from pysim import InputError
from pysim.native import cached

CLASSIFIERS = ("resnet18", "resnet34", "resnet50")
TRANSLATORS = ("gnmt", "transformer")

LEAST_IMAGE = 16
SMALL_IMAGE = 64
"""Images below this many pixels meet the stem for small ones, which does not shrink them."""

JUDGED_AT_ONCE = 64
LEARNT_FROM = 2_000_000
"""A vocabulary is learnt from at most this many sentences, evenly spread."""


@dataclass(frozen=True)
class Source:
    """Where the data of a run lies, and how it is prepared.

    Parameters
    ----------
    folder : str
        ``train/<class>/*.JPEG`` and ``val/<class>/*.JPEG``; or ``train.en``, ``train.de``, and a
        newstest likewise.
    image_size : int
        Pixels of the square that an image becomes.
    languages : str
        Source and target, such as ``"en-de"``: the endings of the files.
    vocabulary : str
        How many subwords to learn from the text, or a file with a model of SentencePiece.
    longest : int
        Pairs of sentences with more tokens on a side are left out of training.

    Raises
    ------
    InputError
        If a setting is out of range.
    """

    folder: str
    image_size: int = 224
    languages: str = "en-de"
    vocabulary: str = "32000"
    longest: int = 50

    def __post_init__(self) -> None:
        if self.image_size < LEAST_IMAGE:
            raise InputError(
                f"image size {self.image_size} is out of range: at least {LEAST_IMAGE}"
            )
        pair = self.languages.split("-")
        if len(pair) != 2 or not all(part.isalpha() for part in pair) or pair[0] == pair[1]:
            raise InputError(f"languages {self.languages!r} are not two such as 'en-de'")
        if self.longest < 1:
            raise InputError(f"longest {self.longest} is out of range: at least 1")

    @classmethod
    def of(cls, folder: str | Path, **settings: Any) -> "Source":
        """Build with paths that hold wherever a run is resumed; what is None is as usual."""
        given = {name: value for name, value in settings.items() if value is not None}
        vocabulary = given.get("vocabulary")
        if vocabulary is not None and not vocabulary.isdecimal():
            given["vocabulary"] = str(Path(vocabulary).resolve())
        return cls(str(Path(folder).resolve()), **given)

    to_dict = asdict


class Translations:
    """Parallel text to learn from, and a test with its sentences as people wrote them.

    Parameters
    ----------
    source : Source

    Raises
    ------
    InputError
        If a file is missing or damaged.
    """

    def __init__(self, source: Source) -> None:
        first, second = source.languages.split("-")
        files = find_texts(Path(source.folder), (first, second))
        # The test first: it is the smaller one to find a fault in.
        test = read_pairs(*files["test"])
        pairs = read_pairs(*files["train"])
        self.subwords = _subwords(source.vocabulary, pairs)
        self._text = ParallelText(pairs, self.subwords, longest=source.longest)
        self.test_sources = [[*self.subwords.encode(sentence), END] for sentence, _ in test]
        self.references = [reference for _, reference in test]
        self.examples, self.batch = self._text.examples, self._text.batch
        self.fingerprint = self._text.fingerprint


def accuracy(model: nn.Module, data: ImageNet) -> float:
    """Return the share of the images of the test that a model gets right."""
    device = next(model.parameters()).device
    right = 0
    for images, labels in data.test_batches(JUDGED_AT_ONCE):
        right += int((model(images.to(device)).argmax(1).cpu() == labels).sum())
    return right / len(data.test)


def bleu(model: nn.Module, data: Translations) -> float:
    """Return the BLEU of greedy translations, detokenised, 0 to 1; by sacrebleu as it is."""
    import sacrebleu

    device = next(model.parameters()).device
    # Sentences of like length together, so that little is filling.
    order = sorted(range(len(data.test_sources)), key=lambda i: len(data.test_sources[i]))
    found = [""] * len(order)
    for first in range(0, len(order), JUDGED_AT_ONCE):
        chosen = order[first : first + JUDGED_AT_ONCE]
        tokens = filled([data.test_sources[i] for i in chosen]).to(device)
        translations = greedy(model, tokens).tolist()  # pyright: ignore[reportArgumentType]
        for i, translation in zip(chosen, translations, strict=True):
            found[i] = data.subwords.decode(translation)
    return sacrebleu.corpus_bleu(found, [data.references], force=True).score / 100


@dataclass(frozen=True)
class _True:
    """What a model is at its true size, and how it is trained on the data that it was made for."""

    sizes: dict[str, Any]
    batch: int
    epochs: int
    learning_rate: float


_RESIDUAL = _True({"width": 64, "stem": "imagenet"}, batch=256, epochs=90, learning_rate=0.1)
_TRUE = {
    **dict.fromkeys(CLASSIFIERS, _RESIDUAL),
    "gnmt": _True(
        {"width": 1024, "depth": 4, "dropout": 0.2, "initial": 0.1},
        batch=128,
        epochs=6,
        learning_rate=1e-3,
    ),
    "transformer": _True(
        {"width": 512, "depth": 6, "heads": 8, "widening": 4, "dropout": 0.1},
        batch=256,
        epochs=20,
        learning_rate=7e-4,
    ),
}


@lru_cache
def find_task(
    name: str, source: Source | None = None, width: int | None = None, depth: int | None = None
) -> Task:
    """Return a task, on its own data and at its own size, or as asked for.

    Parameters
    ----------
    name : str
        Of a task of `cosim.training.tasks`.
    source : Source, optional
        Data in place of the task's own; the model has its true size then.
    width, depth : int, optional
        In place of the model's: channels of the first stage and blocks of each stage, or width and
        number of the layers of encoder and decoder.

    Raises
    ------
    InputError
        If the model takes no such size, or the data cannot be read.
    """
    task = get_task(name)
    sizes = {key: value for key, value in (("width", width), ("depth", depth)) if value is not None}
    if source is None and not sizes:
        return task
    if name not in _TRUE:
        raise InputError(
            f"model {name!r} has one size and data of its own: {', '.join(_TRUE)} take others"
        )
    for key, value in sizes.items():
        if value < 1:
            raise InputError(f"{key} {value} is out of range: at least 1")
    if source is not None:
        task, sizes = _on(source, task, sizes)
    build = partial(task.build, **sizes)
    with torch.device("meta"):  # refuses what does not fit together, at no cost
        build()
    return replace(task, build=build)


def _on(source: Source, task: Task, sizes: dict[str, Any]) -> tuple[Task, dict[str, Any]]:
    """Return a task on other data, and the arguments of its model."""
    true = _TRUE[task.name]
    sizes = true.sizes | sizes
    if task.name in CLASSIFIERS:
        data = ImageNet(Path(source.folder), source.image_size)
        sizes["outputs"] = data.classes
        if source.image_size < SMALL_IMAGE:
            sizes["stem"] = "small"
        what = f"{data.examples:,} images of {data.classes} classes"
        score: Any = accuracy
    else:
        data = Translations(source)
        sizes["outputs"] = len(data.subwords)
        what = f"{data.examples:,} pairs of sentences, {len(data.subwords):,} subwords"
        score = bleu
    task = replace(
        task,
        description=f"{task.name} on {what}",
        load=lambda: data,
        score=score,
        batch=true.batch,
        steps=max(1, true.epochs * data.examples // true.batch),
        learning_rate=true.learning_rate,
    )
    return task, sizes


def _subwords(vocabulary: str, pairs: list[tuple[str, str]]) -> Subwords:
    """Load a vocabulary, or learn one; what was learnt before from the same text is kept."""
    if not vocabulary.isdecimal():
        return Subwords.load(Path(vocabulary))
    stride = -(-2 * len(pairs) // LEARNT_FROM)
    chosen = pairs[::stride]

    def texts() -> Iterator[str]:
        return chain.from_iterable(chosen)

    def make(folder: Path) -> None:
        Subwords.learn(texts(), int(vocabulary)).save(folder / "subwords.model")

    key = chain([version("sentencepiece"), vocabulary], texts())
    return Subwords.load(cached("subwords", key, make) / "subwords.model")
