"""A language made from a grammar, and its translation: word order, agreement, and context.

The source has the order subject, verb, object; the target moves the verb to the end, also in
relative clauses. Articles, adjectives, and pronouns of the target agree with the gender of their
noun, which each noun has by itself, and articles and adjectives with its case; a pronoun's noun
stands in the clause before. Some nouns have two translations, and the verb decides which; some
verbs have two, and the object decides. Nobody can translate such a sentence word by word.

Words are made of syllables and as common as Zipf's law has it, so that the rarest are seen only a
few times. An adverb stands at one of two places of the target, and nothing in the source says at
which: no model reaches a BLEU of 100.
"""

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, product

import numpy as np
import torch

from cosim.datasets.dataset import Dataset
from cosim.datasets.tokens import BEGIN, END, UNKNOWN
from cosim.datasets.wmt import filled

TRAIN, TEST = 3000, 500
NOUNS, VERBS, ADJECTIVES, ADVERBS = 80, 24, 20, 8
LONGEST = 11
"""Words of a source at most."""
AMBIGUOUS = 0.25
"""Share of the nouns, and of the verbs, that have two translations."""
LATE = 0.15
"""Share of the adverbs that stand before the verb of the target, and not at the front."""

SUBJECT, OBJECT = 0, 1
# By case and gender.
_ARTICLES = {
    "the": (("der", "die", "das"), ("den", "die", "das")),
    "a": (("ein", "eine", "ein"), ("einen", "eine", "ein")),
}
_ENDINGS = {
    "the": (("e", "e", "e"), ("en", "e", "e")),
    "a": (("er", "e", "es"), ("en", "e", "es")),
}
_PRONOUNS = ("er", "sie", "es")
_RELATIVES = ("welcher", "welche", "welches")


@dataclass(frozen=True)
class Word:
    """A word of the source.

    Attributes
    ----------
    source : str
    targets : tuple of str
        One translation, or two.
    genders : tuple of int
        Of each translation of a noun.
    kind : int
        Of a verb, which of two translations its nouns have; of a noun, which of two translations
        the verb has whose object it is.
    """

    source: str
    targets: tuple[str, ...]
    genders: tuple[int, ...]
    kind: int

    def target(self, kind: int) -> str:
        """Return the translation where a word of `kind` decides."""
        return self.targets[kind % len(self.targets)]

    def gender(self, kind: int) -> int:
        """Return the gender of that translation."""
        return self.genders[kind % len(self.genders)]


class Lexicon:
    """The words of the language by part of speech, commonest first; always the same."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        sources = _invented(rng, ("b", "d", "f", "k", "l", "m", "p", "r", "s", "t"), "a e i o u")
        targets = _invented(rng, ("br", "fl", "gr", "kn", "pf", "sch", "tr", "z"), "a ei o u au")

        def words(count: int, ambiguous: float) -> list[Word]:
            found = []
            for _ in range(count):
                meanings = 1 + int(rng.random() < ambiguous)
                translations = tuple(next(targets) for _ in range(meanings))
                genders = tuple(rng.integers(3, size=meanings).tolist())
                found.append(Word(next(sources), translations, genders, int(rng.integers(2))))
            return found

        self.nouns, self.verbs = words(NOUNS, AMBIGUOUS), words(VERBS, AMBIGUOUS)
        self.adjectives, self.adverbs = words(ADJECTIVES, 0), words(ADVERBS, 0)


def sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """Return pairs of sentences, source and target; the same for the same seed."""
    speaker = _Speaker(np.random.default_rng(seed))
    found = []
    while len(found) < count:
        source, target = speaker.sentence()
        if len(source.split()) <= LONGEST:
            found.append((source, target))
    return found


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


class _Speaker:
    """Makes sentences of the lexicon by the rules of both languages."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._lexicon = _lexicon()

    def sentence(self) -> tuple[str, str]:
        """Return a sentence and its translation."""
        form = self._rng.random()
        verb = self._pick(self._lexicon.verbs)
        subject = self._pick(self._lexicon.nouns)
        gender = subject.gender(verb.kind)
        source, target = self._phrase(subject, SUBJECT, verb.kind)
        if form < 0.2:
            inner = self._predicate(self._pick(self._lexicon.verbs))
            source += ["that", *inner[0]]
            target += [_RELATIVES[gender], *inner[1]]
        said, meant = self._predicate(verb)
        source, target = source + said, target + meant
        if self._rng.random() < 0.4:
            adverb = self._pick(self._lexicon.adverbs)
            source.append(adverb.source)
            place = len(target) - 1 if self._rng.random() < LATE else 0
            target.insert(place, adverb.targets[0])
        if form > 0.65:
            said, meant = self._predicate(self._pick(self._lexicon.verbs))
            source += ["and", "it", *said]
            target += ["und", _PRONOUNS[gender], *meant]
        return " ".join(source), " ".join(target)

    def _predicate(self, verb: Word) -> tuple[list[str], list[str]]:
        """Return verb and object, in the order of each language."""
        noun = self._pick(self._lexicon.nouns)
        source, target = self._phrase(noun, OBJECT, verb.kind)
        return [verb.source, *source], [*target, verb.target(noun.kind)]

    def _phrase(self, noun: Word, case: int, kind: int) -> tuple[list[str], list[str]]:
        """Return article, perhaps an adjective, and noun, where the verb is of a kind."""
        article = ("the", "a")[self._rng.integers(2)]
        gender = noun.gender(kind)
        source, target = [article], [_ARTICLES[article][case][gender]]
        if self._rng.random() < 0.4:
            adjective = self._pick(self._lexicon.adjectives)
            source.append(adjective.source)
            target.append(adjective.targets[0] + _ENDINGS[article][case][gender])
        return [*source, noun.source], [*target, noun.target(kind)]

    def _pick(self, words: Sequence[Word]) -> Word:
        """Choose a word, the n-th as often as 1 / n."""
        sums = _zipf(len(words))
        return words[bisect(sums, self._rng.random() * sums[-1])]


@cache
def _lexicon() -> Lexicon:
    return Lexicon()


@cache
def _zipf(count: int) -> list[float]:
    return list(accumulate(1 / n for n in range(1, count + 1)))


def _invented(rng: np.random.Generator, onsets: Sequence[str], vowels: str) -> Iterator[str]:
    """Yield words of two syllables in random order, each once."""
    syllables = [onset + vowel for onset in onsets for vowel in vowels.split()]
    pairs = ["".join(pair) for pair in product(syllables, repeat=2)]
    yield from (pairs[i] for i in rng.permutation(len(pairs)))
