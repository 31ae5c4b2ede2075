import torch

from cosim.datasets.tokens import BEGIN, END, PAD, UNKNOWN
from cosim.datasets.translation import (
    LONGEST,
    Lexicon,
    Vocabulary,
    bleu,
    generated_translations,
    sentences,
    vocabulary,
)


def test_sentences_follow_the_seed():
    assert sentences(50, seed=1) == sentences(50, seed=1)
    assert max(len(source.split()) for source, _ in sentences(500, seed=1)) == LONGEST
    assert sentences(50, seed=1) != sentences(50, seed=2)


def test_agreement_and_context():
    """The translation of every word follows from the rules, told here the other way round."""
    seen = set()
    lexicon = Lexicon()
    words = {word.source: word for word in (*lexicon.nouns, *lexicon.verbs)}
    adverbs = {word.targets[0] for word in lexicon.adverbs}
    for source, target in sentences(3000, seed=0):
        if " that " in source:
            continue
        first = source.split(" and it ")[0]
        subject, verb, thing = [words[word] for word in first.split() if word in words]
        clause = [word for word in target.split(" und ")[0].split() if word not in adverbs]
        # The verb ends the clause, where its object decides; the nouns have what the verb wants.
        assert clause[-1] == verb.targets[thing.kind % len(verb.targets)]
        assert clause[-2] == thing.targets[verb.kind % len(thing.targets)]
        assert subject.targets[verb.kind % len(subject.targets)] in clause[1:3]
        gender = subject.genders[verb.kind % len(subject.genders)]
        wanted = ("der ein", "die eine", "das ein")[gender].split()
        assert clause[0] in wanted
        gender = thing.genders[verb.kind % len(thing.genders)]
        wanted = ("den einen", "die eine", "das ein")[gender].split()
        # An adjective may stand between article and noun.
        assert {*clause[-4:-2]} & {*wanted}
        if len(verb.targets) == 2:
            seen.add(("verb", clause[-1] == verb.targets[1]))
        if len(thing.targets) == 2:
            seen.add(("noun", clause[-2] == thing.targets[1]))
        if " und " in target:
            pronoun = target.split(" und ")[1].split()[0]
            assert pronoun == ("er", "sie", "es")[subject.genders[verb.kind % len(subject.genders)]]
            seen.add(pronoun)
    assert len(seen) == 7


def test_adverbs_stand_at_either_place():
    adverb = Lexicon().adverbs[0]
    places = {
        target.split().index(adverb.targets[0]) == 0
        for source, target in sentences(1000, seed=0)
        if source.endswith(adverb.source)
    }
    assert places == {True, False}


def test_words_are_as_common_as_zipf_has_it():
    texts = " ".join(source for source, _ in sentences(5000, seed=0)).split()
    lexicon = Lexicon()
    first, tenth = (texts.count(lexicon.nouns[i].source) for i in (0, 9))
    assert 8 < first / tenth < 12.5
    words = [word for part in vars(lexicon).values() for word in part]
    everything = [text for word in words for text in (word.source, *word.targets)]
    assert len(set(everything)) == len(everything)


def test_vocabulary():
    words = Vocabulary(["b a", "c"])
    assert len(words) == 7
    tokens = words.encode("a b x")
    assert tokens == [4, 5, UNKNOWN]
    assert words.decode([BEGIN, 4, 5, UNKNOWN, END, 6]) == "a b"


def test_data_set():
    data = generated_translations()
    for inputs, labels in (
        (data.train_inputs, data.train_labels),
        (data.test_inputs, data.test_labels),
    ):
        assert (labels[:, 0] == BEGIN).all()
        assert ((inputs == END).sum(1) == 1).all()
        assert ((labels == END).sum(1) == 1).all()
        assert inputs.max() < len(vocabulary())
        assert not (inputs == UNKNOWN).any()
        assert not (labels == UNKNOWN).any()
        after_end = (inputs == END).cumsum(1).bool() & (inputs != END)
        assert (inputs[after_end] == PAD).all()
    train = {tuple(row.tolist()) for row in data.train_inputs}
    known = sum(tuple(row) in train for row in data.test_inputs.tolist())
    assert known < len(data.test_inputs) / 2


def test_bleu():
    labels = generated_translations().test_labels
    assert bleu(labels[:, 1:], labels) > 0.9999
    assert bleu(labels[:, 1:].flip(0), labels) < 0.5
    worse = labels[:, 1:].clone()
    worse[::2, 1] = UNKNOWN
    assert 0.5 < bleu(worse, labels) < 0.95
    assert bleu(torch.full((len(labels), 1), END), labels) == 0
