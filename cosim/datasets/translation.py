"""A language made from a grammar, and its translation: word order, agreement, and context.

The source has the order subject, verb, object; the target moves the verb to the end. Articles and
adjectives of the target agree with the gender of their noun, and articles with its case. Some words
have two translations, and another word of the sentence decides which. Nobody can translate such a
sentence word by word.
"""

from functools import cache

import numpy as np
import torch

from cosim.datasets.dataset import Dataset
from cosim.datasets.tokens import BEGIN, END, UNKNOWN
from cosim.datasets.wmt import filled

TRAIN, TEST = 6000, 200

# Source, target, gender; or two targets, of which the verb's kind decides.
_NOUNS = {
    "dog": ("hund", 0),
    "cat": ("katze", 1),
    "child": ("kind", 2),
    "man": ("mann", 0),
    "woman": ("frau", 1),
    "house": ("haus", 2),
    "tree": ("baum", 0),
    "book": ("buch", 2),
    "lamp": ("lampe", 1),
    "table": ("tisch", 0),
}
_AMBIGUOUS = {
    "bank": (("ufer", 2), ("bank", 1)),
    "castle": (("schloss", 2), ("burg", 1)),
    "ball": (("kugel", 1), ("tanz", 0)),
}
# The second kind of verb asks for the second translation of an ambiguous word.
_VERBS = {
    "sees": ("sieht", 0),
    "finds": ("findet", 0),
    "likes": ("mag", 0),
    "builds": ("baut", 1),
    "pays": ("bezahlt", 1),
    "visits": ("besucht", 1),
}
_ADJECTIVES = {"old": "alt", "small": "klein", "red": "rot", "good": "gut", "green": "gruen"}
_ADVERBS = {"today": "heute", "often": "oft", "never": "nie"}
_ARTICLES = {
    "the": {"subject": ("der", "die", "das"), "object": ("den", "die", "das")},
    "a": {"subject": ("ein", "eine", "ein"), "object": ("einen", "eine", "ein")},
}
_ENDINGS = {
    "the": {"subject": ("e", "e", "e"), "object": ("en", "e", "e")},
    "a": {"subject": ("er", "e", "es"), "object": ("en", "e", "es")},
}


def sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """Return pairs of sentences, source and target; the same for the same seed."""
    rng = np.random.default_rng(seed)
    return [_sentence(rng) for _ in range(count)]


class Vocabulary:
    """Words by number, those of both languages together; the first tokens are special.

    Parameters
    ----------
    texts : list of str
        All words in them are known.
    """

    def __init__(self, texts: list[str]) -> None:
        words = sorted({word for text in texts for word in text.split()})
        self._words = dict(enumerate(words, start=END + 1))
        self._tokens = {word: token for token, word in self._words.items()}

    def __len__(self) -> int:
        return END + 1 + len(self._words)

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, without bounds."""
        return [self._tokens.get(word, UNKNOWN) for word in text.split()]

    def decode(self, tokens: list[int]) -> str:
        """Return the text of tokens up to the first `END`; special ones are left out."""
        upto = tokens[: tokens.index(END)] if END in tokens else tokens
        return " ".join(self._words[token] for token in upto if token in self._words)


@cache
def vocabulary() -> Vocabulary:
    """Return the vocabulary of the generated language."""
    return Vocabulary([text for pair in sentences(TRAIN, seed=1) for text in pair])


@cache
def generated_translations() -> Dataset:
    """Return sentences to learn and to be judged by, as tokens filled up with `PAD`.

    Returns
    -------
    Dataset
        Inputs [examples, S] end with `END`; labels [examples, T] begin with `BEGIN` and end with
        `END`. No sentence of the test is among those to learn.
    """
    train = sentences(TRAIN, seed=1)
    known = set(train)
    test = [pair for pair in sentences(2 * TEST, seed=2) if pair not in known][:TEST]
    return Dataset(*_tensors(train), *_tensors(test))


def bleu(model_tokens: torch.Tensor, targets: torch.Tensor) -> float:
    """Return the BLEU of translations, 0 to 1, by sacrebleu without its tokeniser.

    Parameters
    ----------
    model_tokens : int64, shape [N, any]
    targets : int64, shape [N, T]
        As the labels of the data set.
    """
    import sacrebleu

    words = vocabulary()
    ours = [words.decode(row) for row in model_tokens.tolist()]
    theirs = [words.decode(row) for row in targets.tolist()]
    return sacrebleu.corpus_bleu(ours, [theirs], tokenize="none", force=True).score / 100


def _tensors(pairs: list[tuple[str, str]]) -> tuple[torch.Tensor, torch.Tensor]:
    words = vocabulary()
    sources = [[*words.encode(source), END] for source, _ in pairs]
    targets = [[BEGIN, *words.encode(target), END] for _, target in pairs]
    return filled(sources), filled(targets)


def _sentence(rng: np.random.Generator) -> tuple[str, str]:
    verb, (verb_target, kind) = _pick(rng, _VERBS)
    subject, subject_target = _phrase(rng, "subject", kind)
    thing, thing_target = _phrase(rng, "object", kind)
    source, target = [*subject, verb, *thing], [*subject_target, *thing_target, verb_target]
    if rng.random() < 0.4:
        adverb, adverb_target = _pick(rng, _ADVERBS)
        source.append(adverb)
        # In the target it comes first, and the subject follows what is left of the clause.
        target = [adverb_target, *target]
    if rng.random() < 0.3:
        source, target = ["she", "says", "that", *source], ["sie", "sagt", "dass", *target]
    return " ".join(source), " ".join(target)


def _phrase(rng: np.random.Generator, case: str, kind: int) -> tuple[list[str], list[str]]:
    article = ("the", "a")[rng.integers(2)]
    if rng.random() < 0.25:
        noun, translations = _pick(rng, _AMBIGUOUS)
        noun_target, gender = translations[kind]
    else:
        noun, (noun_target, gender) = _pick(rng, _NOUNS)
    source, target = [article], [_ARTICLES[article][case][gender]]
    if rng.random() < 0.5:
        adjective, stem = _pick(rng, _ADJECTIVES)
        source.append(adjective)
        target.append(stem + _ENDINGS[article][case][gender])
    return [*source, noun], [*target, noun_target]


def _pick(rng: np.random.Generator, words: dict) -> tuple:
    keys = list(words)
    key = keys[rng.integers(len(keys))]
    return key, words[key]
