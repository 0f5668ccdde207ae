"""The layers' formulas in NumPy, of which a predictor gets the source of those that it needs."""

import math

import numpy as np

from tfnorm.export.numpy_predictor.activations import sigmoid


def augru(x, kernel, recurrent_kernel, bias, *, mask=None):
    """h_t = (1 - u) h_(t-1) + u c for each step t, from h_0 = 0; a masked step keeps h_(t-1)

    The last column of x is a_t, an attention score.
    u = a_t sigmoid(x_t kernel + bias + h_(t-1) recurrent_kernel), r the same without a_t
    c = tanh(x_t kernel + bias + r (h_(t-1) recurrent_kernel))
    """
    h = np.zeros((len(x), len(recurrent_kernel)), x.dtype)
    states = np.zeros((*x.shape[:2], len(recurrent_kernel)), x.dtype)
    for t in range(x.shape[1]):
        x_u, x_r, x_c = np.split(x[:, t, :-1] @ kernel + bias, 3, axis=-1)
        h_u, h_r, h_c = np.split(h @ recurrent_kernel, 3, axis=-1)
        u, r = x[:, t, -1:] * sigmoid(x_u + h_u), sigmoid(x_r + h_r)
        new = (1 - u) * h + u * np.tanh(x_c + r * h_c)
        h = new if mask is None else np.where(mask[:, t, None], new, h)
        states[:, t] = h
    return states


def batch_normalization(x, moving_mean, moving_variance, gamma=1, beta=0, *, epsilon):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, with the moving mean and variance"""
    return gamma * (x - moving_mean) / np.sqrt(moving_variance + epsilon) + beta


def dense(x, kernel, bias=0):
    """x kernel + bias"""
    return np.tensordot(x, kernel, axes=1) + bias


def unstandardized(x, mean, variance, *, epsilon):
    """mean + x sqrt(variance)"""
    return mean + x * np.maximum(np.sqrt(variance), epsilon)


def dice(x, alpha, moving_mean, moving_variance, *, epsilon):
    """p x + (1 - p) alpha x, where p = sigmoid((x - mean) / sqrt(variance + epsilon))"""
    p = sigmoid((x - moving_mean) / np.sqrt(moving_variance + epsilon))
    return p * x + (1 - p) * alpha * x


def einsum_dense(x, kernel, bias=0, *, equation):
    """x kernel + bias, a product over the axes that the equation names"""
    return np.einsum(equation, x, kernel) + bias


def embedding(ids, embeddings):
    """embeddings[id] for each id"""
    if ids.size and (ids.min() < 0 or ids.max() >= len(embeddings)):
        raise IndexError(
            f"ids are {ids.min()} to {ids.max()}; accepted: 0 to {len(embeddings) - 1}"
        )
    return embeddings[ids]


def flatten(x):
    """All axes but the first in one"""
    return x.reshape(len(x), math.prod(x.shape[1:]))


def gru(x, kernel, recurrent_kernel, bias=(0, 0), *, activation, recurrent_activation, mask=None):
    """h_t = z h_(t-1) + (1 - z) c for each step t, from h_0 = 0; a masked step keeps h_(t-1)

    z, r = recurrent_activation(x_t kernel + bias_0 + h_(t-1) recurrent_kernel + bias_1)
    c = activation(x_t kernel + bias_0 + r (h_(t-1) recurrent_kernel + bias_1))
    """
    h = np.zeros((len(x), len(recurrent_kernel)), x.dtype)
    states = np.zeros((*x.shape[:2], len(recurrent_kernel)), x.dtype)
    for t in range(x.shape[1]):
        x_z, x_r, x_c = np.split(x[:, t] @ kernel + bias[0], 3, axis=-1)
        h_z, h_r, h_c = np.split(h @ recurrent_kernel + bias[1], 3, axis=-1)
        z, r = recurrent_activation(x_z + h_z), recurrent_activation(x_r + h_r)
        new = z * h + (1 - z) * activation(x_c + r * h_c)
        h = new if mask is None else np.where(mask[:, t, None], new, h)
        states[:, t] = h
    return states


def gru_reset_before(
    x, kernel, recurrent_kernel, bias=0, *, activation, recurrent_activation, mask=None
):
    """h_t = z h_(t-1) + (1 - z) c for each step t, from h_0 = 0; a masked step keeps h_(t-1)

    z, r = recurrent_activation(x_t kernel + h_(t-1) recurrent_kernel + bias)
    c = activation(x_t kernel + (r h_(t-1)) recurrent_kernel + bias)
    """
    units = len(recurrent_kernel)
    h = np.zeros((len(x), units), x.dtype)
    states = np.zeros((*x.shape[:2], units), x.dtype)
    for t in range(x.shape[1]):
        x_z, x_r, x_c = np.split(x[:, t] @ kernel + bias, 3, axis=-1)
        h_z, h_r = np.split(h @ recurrent_kernel[:, : 2 * units], 2, axis=-1)
        z, r = recurrent_activation(x_z + h_z), recurrent_activation(x_r + h_r)
        new = z * h + (1 - z) * activation(x_c + (r * h) @ recurrent_kernel[:, 2 * units :])
        h = new if mask is None else np.where(mask[:, t, None], new, h)
        states[:, t] = h
    return states


def at_least_one_step(x, valid):
    """x and valid, with a step of padding where there is none"""
    steps = [(0, 0), (0, int(valid.shape[1] == 0))]
    return np.pad(x, [*steps, (0, 0)]), np.pad(valid, steps)


def interest_scores(query, interests, valid, kernel):
    """softmax(h_t kernel q) over the valid t, 0 for the others"""
    return masked_softmax(np.einsum("ntu,nu->nt", interests, query @ kernel.T), valid)


def layer_normalization(x, gamma=1, beta=0, *, axis, epsilon):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, with each example's mean and variance"""
    mean, variance = x.mean(axis, keepdims=True), x.var(axis, keepdims=True)
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def masked_average(x, mask, keepdims=False):
    """sum_t mask_t x_t / sum_t mask_t"""
    mask = mask[:, :, None]
    count = mask.sum(axis=1, keepdims=keepdims, dtype=x.dtype)
    return np.where(mask, x, 0).sum(axis=1, keepdims=keepdims) / count


def masked_mean(x, valid):
    """sum_t valid_t x_t / max(1, sum_t valid_t)"""
    valid = valid.astype(x.dtype)
    return np.einsum("nt,ntd->nd", valid, x) / np.maximum(valid.sum(axis=1, keepdims=True), 1)


def masked_sum(x, valid):
    """sum_t valid_t x_t"""
    return np.einsum("nt,ntd->nd", valid.astype(x.dtype), x)


def newest_steps(ids, x, *, length):
    """Of each row the last `length` values before its padding, which begins after the last id."""
    ends = ((ids != 0) * np.arange(1, 1 + ids.shape[1])).max(axis=1, initial=0)
    steps = np.arange(min(x.shape[1], length))
    return np.take_along_axis(x, np.maximum(ends - length, 0)[:, None] + steps, axis=1)


def masked_softmax(x, mask, axis=-1):
    """exp(x) / sum(exp(x)) over those that the mask has as True, 0 for the others"""
    x = np.where(mask, x, -np.inf)
    e = np.exp(x - x.max(axis, keepdims=True, initial=np.finfo(x.dtype).min))
    return e / np.maximum(e.sum(axis, keepdims=True), 1)  # the sum is 1 or more, or all are masked


def standardized(x, mean, variance, *, epsilon):
    """(x - mean) / sqrt(variance)"""
    return (x - mean) / np.maximum(np.sqrt(variance), epsilon)


def prelu(x, alpha):
    """x if x > 0, else alpha x"""
    return np.where(x > 0, x, alpha * x)


def whitened(x, mean, kernel):
    """(x - mean) kernel"""
    return np.tensordot(x - mean, kernel, axes=1)


def reshape(x, shape):
    """The axes after the first in another shape, where -1 is as long as needed"""
    known = -math.prod(shape)
    shape = [math.prod(x.shape[1:]) // known if size == -1 else size for size in shape]
    return x.reshape(len(x), *shape)


def target_attention(query, keys, valid, *mlp, softmax=True):
    """sum_t a_t k_t, with a = softmax(s), or s itself, over the valid t; 0 if none is valid

    s_t = mlp([q, k_t, q - k_t, q k_t]), whose layers are sigmoid but the last
    """
    query = np.broadcast_to(query[:, None], keys.shape)
    scores = np.concatenate([query, keys, query - keys, query * keys], axis=-1)
    for hidden in mlp[:-1]:
        scores = sigmoid(dense(scores, **hidden))
    scores = dense(scores, **mlp[-1])[..., 0]
    weights = masked_softmax(scores, valid) if softmax else np.where(valid, scores, 0)
    return np.einsum("nt,ntd->nd", weights, keys)


def unit_normalization(x, *, axis, epsilon):
    """x / max(|x|, epsilon), where |x| = sqrt(sum(x^2))"""
    return x / np.maximum(np.sqrt((x**2).sum(axis, keepdims=True)), epsilon)
