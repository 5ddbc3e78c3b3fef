"""Tiny tokenizers of every class that models come with, each trained on a few lines or written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LINES = [
    "Which is the capital of France? Paris, Rome or Berlin.", "A. Paris B. Rome C. Berlin D. Oslo", "Answer: A", "1 2 3 4",
    "red green paint blue", "<|user|> <|assistant|>",
]  # fmt: skip
SPECIAL = ["<unk>", "<s>", "</s>"]
CORPUS = LINES * 4


def _wrapped(core: Tokenizer, **more: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>", **more
    )


def _ends(core: Tokenizer, *, before: bool, after: bool) -> None:
    """Let the tokenizer put special tokens around a text, as add_bos_token and add_eos_token do."""
    single = [*(["<s>"] if before else []), "$A", *(["</s>"] if after else [])]
    core.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(token, core.token_to_id(token)) for token in ("<s>", "</s>")]
    )


def byte_level(*, before: bool = False, after: bool = False) -> Any:
    """As GPT-2, Qwen, SmolLM: every byte has a token, a blank belongs to what follows, digits stand alone."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, initial_alphabet=alphabet, special_tokens=SPECIAL, show_progress=False
    )
    core.train_from_iterator(CORPUS, trainer)
    _ends(core, before=before, after=after)
    return _wrapped(core)


def sentencepiece(*, prefix: bool, before: bool = True, after: bool = False) -> Any:
    """As Llama 2, Mistral, TinyLlama: blanks are ▁, digits stand alone, what is unknown is bytes.

    With `prefix` a ▁ is put before every text.
    """
    pieces = [*SPECIAL, *(f"<0x{number:02X}>" for number in range(256)), "▁"]
    pieces += sorted({letter for line in LINES for letter in line if not letter.isspace()})
    words = [
        "▁Paris",
        "Paris",
        "▁Rome",
        "▁Berlin",
        "Berlin",
        "▁A",
        "▁B",
        "▁C",
        "▁D",
        "▁red",
        "red",
        "▁green",
        "▁blue",
        "▁paint",
    ]
    merges: list[tuple[str, str]] = []
    for word in words:
        letters = list(word)
        while len(letters) > 1:
            pair = (letters[0], letters[1])
            if pair not in merges:
                merges.append(pair)
            letters[:2] = ["".join(pair)]
            if letters[0] not in pieces:
                pieces.append(letters[0])
    core = Tokenizer(
        models.BPE(
            {piece: n for n, piece in enumerate(pieces)}, merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"
        )
    )
    steps = [normalizers.Prepend("▁")] if prefix else []
    core.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    _ends(core, before=before, after=after)
    return _wrapped(core)


def unigram(*, before: bool = False, after: bool = True) -> Any:
    """As T5, XGLM, ALBERT: the likeliest pieces; here with an end after every text, as T5 has it."""
    core = Tokenizer(models.Unigram())
    core.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    core.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    trainer = trainers.UnigramTrainer(vocab_size=90, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    core.train_from_iterator(CORPUS, trainer)
    _ends(core, before=before, after=after)
    return _wrapped(core)


def wordpiece() -> Any:
    """As BERT: whole words and ##rests, between two special tokens; blanks and line breaks leave no trace."""
    core = Tokenizer(models.WordPiece(unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece()
    core.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=200, special_tokens=SPECIAL, show_progress=False)
    )
    _ends(core, before=True, after=True)
    return _wrapped(core)


TOKENIZERS: dict[str, Callable[[], Any]] = {
    "byte-level BPE": byte_level,
    "byte-level BPE with add_eos_token": lambda: byte_level(before=True, after=True),
    "sentencepiece BPE": lambda: sentencepiece(prefix=True),
    "sentencepiece BPE without a prefix": lambda: sentencepiece(prefix=False),
    "sentencepiece BPE with add_eos_token": lambda: sentencepiece(prefix=True, after=True),
    "unigram": unigram,
    "wordpiece": wordpiece,
}
TEMPLATES: dict[str, str | None] = {
    "no template": None,
    "ends in a line break": "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
    "ends in a bracket": "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }}</s>{% endif %}{% endfor %}",
    "ends in a blank": "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}",
}
NAMES: Sequence[str] = tuple(TOKENIZERS)
