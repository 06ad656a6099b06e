"""What the Q-Former is trained against before it meets the language model, and how its states enter that.

query states (B, K, D) -> visual tokens (B, K, E) in the language model's input space
                       -> answer logits (B, A) from the first query
                       -> a caption vector (B, 384) from the mean of all
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gifqa.model.dual_encoder import START_LOG_TEMPERATURE


class LanguageProjection(nn.Module):
    """Query states as input embeddings of the language model, on the sphere of its word embeddings.

    Tokens of the usual length in directions near words mean something to the language model before it has
    seen one picture, and their nearest words can be trained for without it.

    Args:
        hidden_size: D.
        embedding_size: E.
        embedding_norm: mean length of the language model's word embeddings.
    """

    embedding_norm: Tensor

    def __init__(self, hidden_size: int, embedding_size: int, embedding_norm: float) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, embedding_size)
        self.register_buffer("embedding_norm", torch.tensor(embedding_norm))

    def forward(self, query_states: Tensor) -> Tensor:
        """(B, K, D) -> (B, K, E), every vector of length `embedding_norm`."""
        return F.normalize(self.linear(query_states), dim=-1) * self.embedding_norm


class WordHead(nn.Module):
    """How much each word of a list is meant by a visual token: scaled cosine with the word's embedding.

    Args:
        word_vectors: (W, E) unit vectors: the mean embedding of each word's tokens; frozen.
    """

    word_vectors: Tensor

    def __init__(self, word_vectors: Tensor) -> None:
        super().__init__()
        self.register_buffer("word_vectors", word_vectors)
        self.scale = nn.Parameter(torch.tensor(15.0))
        self.bias = nn.Parameter(torch.full((len(word_vectors),), -4.0))

    def forward(self, visual_tokens: Tensor) -> Tensor:
        """(B, K, E) -> (B, K, W)."""
        return self.scale * F.normalize(visual_tokens, dim=-1) @ self.word_vectors.T

    def any_token(self, visual_tokens: Tensor) -> Tensor:
        """Logits (B, W) that at least one token means the word."""
        scores: Tensor = self(visual_tokens).amax(dim=1)
        return scores + self.bias


class AnswerHead(nn.Module):
    """A softmax over known answers that can also score answers it has never seen.

    An answer's vector is its projected sentence vector plus, for known ones, a learned correction.

    Args:
        hidden_size: D.
        answer_sentences: (A, 384) sentence vectors of the known answers; frozen.
    """

    answer_sentences: Tensor

    def __init__(self, hidden_size: int, answer_sentences: Tensor) -> None:
        super().__init__()
        self.register_buffer("answer_sentences", answer_sentences)
        size = answer_sentences.shape[1]
        self.state = nn.Sequential(
            nn.Linear(hidden_size, hidden_size), nn.GELU(), nn.Linear(hidden_size, hidden_size)
        )
        self.sentence_projection = nn.Linear(size, hidden_size)
        self.correction = nn.Parameter(torch.zeros(len(answer_sentences), hidden_size))
        self.bias = nn.Parameter(torch.zeros(len(answer_sentences)))

    def answer_vectors(self) -> Tensor:
        """(A, D)."""
        projected: Tensor = self.sentence_projection(self.answer_sentences)
        return projected + self.correction

    def forward(self, query_states: Tensor) -> Tensor:
        """(B, K, D) -> logits (B, A)."""
        state: Tensor = self.state(query_states[:, 0])
        return state @ self.answer_vectors().T + self.bias

    def score(self, query_states: Tensor, sentences: Tensor) -> Tensor:
        """Scores of given answers: states (B, K, D), sentences (B, O, 384) -> (B, O)."""
        state: Tensor = self.state(query_states[:, 0])
        projected: Tensor = self.sentence_projection(sentences)
        return (projected @ state.unsqueeze(-1)).squeeze(-1)


class CaptionHead(nn.Module):
    """Query states and caption sentence vectors in one space, for contrast."""

    def __init__(self, hidden_size: int, text_size: int) -> None:
        super().__init__()
        self.picture = nn.Linear(hidden_size, text_size)
        self.sentence = nn.Linear(text_size, text_size)
        self.log_temperature = nn.Parameter(torch.tensor(START_LOG_TEMPERATURE))

    def forward(self, query_states: Tensor, sentences: Tensor) -> Tensor:
        """(B, K, D) and (M, text_size) -> scaled similarities (B, M)."""
        picture = F.normalize(self.picture(query_states.mean(1)), dim=-1)
        sentence = F.normalize(self.sentence(sentences), dim=-1)
        return self.log_temperature.exp().clamp(max=100) * picture @ sentence.T
