"""A vocabulary of subwords (Sennrich et al., arXiv 1508.07909), by SentencePiece."""

import io
from collections.abc import Iterable
from pathlib import Path

import sentencepiece

from cosim.datasets.tokens import BEGIN, END, PAD, UNKNOWN
from cosim.files import replacing
from pysim import InputError


class Subwords:
    """Pieces of words by number, those of both languages together; the first are special.

    Parameters
    ----------
    model : bytes
        What `learn` made.

    Raises
    ------
    InputError
        If it is not such a model.
    """

    def __init__(self, model: bytes) -> None:
        self._model = model
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise InputError(f"not a vocabulary of subwords: {error}") from error
        special = tuple(
            getattr(self._processor, f"{name}_id")() for name in ("pad", "unk", "bos", "eos")
        )
        if special != (PAD, UNKNOWN, BEGIN, END):
            raise InputError(f"a vocabulary with special tokens {special}: they must be 0 to 3")

    def __len__(self) -> int:
        return self._processor.get_piece_size()

    @classmethod
    def learn(cls, texts: Iterable[str], size: int) -> "Subwords":
        """Make a vocabulary of a size by byte-pair encoding; the same texts give the same one.

        Raises
        ------
        InputError
            If the texts are too few for the size.
        """
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_writer=model,
                model_type="bpe",
                vocab_size=size,
                character_coverage=1.0,
                pad_id=PAD,
                unk_id=UNKNOWN,
                bos_id=BEGIN,
                eos_id=END,
                num_threads=1,
                minloglevel=2,
            )
        except (RuntimeError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"no vocabulary of {size} subwords can be made: {reason}") from error
        return cls(model.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Subwords":
        """Read what `save` wrote; InputError if it cannot be read."""
        try:
            return cls(Path(path).read_bytes())
        except OSError as error:
            raise InputError(f"vocabulary {str(path)!r} cannot be read: {error}") from error

    def save(self, path: Path) -> None:
        """Write the vocabulary to a file."""
        with replacing(Path(path)) as file:
            file.write(self._model)

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, without bounds."""
        return self._processor.encode(text)

    def decode(self, tokens: list[int]) -> str:
        """Return the text of tokens up to the first `END`; special ones are left out."""
        upto = tokens[: tokens.index(END)] if END in tokens else tokens
        return self._processor.decode([token for token in upto if token > END])
