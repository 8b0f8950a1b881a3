"""Figures of StatisticsTests.swift and MapMethodTests.swift, from scipy, scikit-learn and numpy.

Run: python statistics_figures.py
"""

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.stats as st
from scipy.spatial.distance import pdist
from sklearn.cross_decomposition import CCA
from sklearn.metrics import roc_auc_score

A = [3.1, 2.7, 4.4, 5.0, 3.9, 2.2, 4.8, 3.3]
B = [2.9, 2.1, 4.6, 4.1, 3.0, 2.4, 4.0, 2.8]


def show(name, *values):
    print(name, *(f"{float(v):.10g}" for v in values))


paired = st.ttest_rel(A, B)
show("paired t: p, low, high", paired.pvalue, *paired.confidence_interval(0.95))
show("t quantiles .975 of 1, 7, 30, 1.7 degrees", *(st.t.ppf(0.975, f) for f in (1, 7, 30, 1.7)))
show("t cdf of -2.5 at 3, 0.4 at 12, 40 at 2", st.t.cdf(-2.5, 3), st.t.cdf(0.4, 12), st.t.cdf(40, 2))
show("normal quantiles .975 .95 .6", st.norm.ppf(0.975), st.norm.ppf(0.95), st.norm.ppf(0.6))

# McNemar's exact test is a binomial test of the discordant pairs.
show("mcnemar 9 and 1, 2 and 0, 5 and 5, 30 and 12", *(
    st.binomtest(k, k + m, 0.5).pvalue for k, m in ((9, 1), (2, 0), (5, 5), (30, 12))))


def statistic(x, y):
    return np.mean(x) - np.mean(y)


show("permutation, exact, two-sided, greater", *(
    st.permutation_test((A[:5], B[:5]), statistic, n_resamples=np.inf, alternative=alt).pvalue
    for alt in ("two-sided", "greater")))
show("permutation, paired, exact, two-sided, less", *(
    st.permutation_test((A, B), statistic, permutation_type="samples", n_resamples=np.inf, alternative=alt).pvalue
    for alt in ("two-sided", "less")))


def tost(a, b, margin, paired):
    """Two one-sided t tests against the shifted margin; the larger p."""
    a, b = np.array(a), np.array(b)
    if paired:
        upper = st.ttest_rel(a, b + margin, alternative="less").pvalue
        lower = st.ttest_rel(a, b - margin, alternative="greater").pvalue
    else:
        upper = st.ttest_ind(a, b + margin, equal_var=False, alternative="less").pvalue
        lower = st.ttest_ind(a, b - margin, equal_var=False, alternative="greater").pvalue
    return max(upper, lower)


show("tost paired margin .8, welch margin .8 and 2", tost(A, B, 0.8, True), tost(A, B, 0.8, False), tost(A, B, 2, False))
welch = st.ttest_ind(A, B, equal_var=False).confidence_interval(0.90)
show("welch 90 % interval", *welch)


def wilson(k, n, z):
    interval = st.binomtest(k, n).proportion_ci(confidence_level=2 * st.norm.cdf(z) - 1, method="wilson")
    return interval.low, interval.high


def newcombe_paired(a, b, c, d, level=0.95):
    """Newcombe 1998, Statistics in Medicine 17, 2635, method 10."""
    z, n = st.norm.ppf((1 + level) / 2), a + b + c + d
    p1, p2 = (a + b) / n, (a + c) / n
    l1, u1 = wilson(a + b, n, z)
    l2, u2 = wilson(a + c, n, z)
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    x = a * d - b * c
    phi = 0 if margins == 0 else (max(x - n / 2, 0) if x > 0 else x) / np.sqrt(margins)
    low = p1 - p2 - np.sqrt((p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2)
    high = p1 - p2 + np.sqrt((u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2)
    return low, high


# The paper's Table I, row 36 12 2 0: 0.0569 to 0.3404.
show("newcombe paired 36 12 2 0", *newcombe_paired(36, 12, 2, 0))
show("newcombe paired 5 9 1 10, 0 0 0 24", *newcombe_paired(5, 9, 1, 10), *newcombe_paired(0, 0, 0, 24))
z = st.norm.ppf(0.95)
(l1, u1), (l2, u2) = wilson(18, 24, z), wilson(10, 30, z)
d = 18 / 24 - 10 / 30
show("newcombe unpaired 18/24 10/30, 90 %", d - np.hypot(18 / 24 - l1, u2 - 10 / 30), d + np.hypot(u1 - 18 / 24, 10 / 30 - l2))

scores = [0.1, 0.4, 0.35, 0.8, 0.65, 0.4, 0.9, 0.2, 0.4, 0.7]
labels = [0, 0, 1, 1, 1, 1, 1, 0, 0, 0]
area = roc_auc_score(labels, scores)


def newcombe_auc(area, m, n, level=0.95):
    """Newcombe 2006, Statistics in Medicine 25, 559, method 5."""
    z, half = st.norm.ppf((1 + level) / 2), (m + n) / 2 - 1

    def gap(t):
        v = t * (1 - t) * (1 + half * ((1 - t) / (2 - t) + t / (1 + t))) / (m * n)
        return abs(t - area) - z * np.sqrt(v)

    low = scipy.optimize.brentq(gap, 1e-12, area - 1e-9) if area > 0 else 0
    high = scipy.optimize.brentq(gap, area + 1e-9, 1 - 1e-12) if area < 1 else 1
    return low, high


show("auroc, interval; of 1 with 5 and 8", area, *newcombe_auc(area, 5, 5), newcombe_auc(1.0, 5, 8)[0])

values = [2.0, 3.0, 7.0]
# All 27 draws of three values with replacement.
draws = sorted((a + b + c) / 3 for a in values for b in values for c in values)
show("bootstrap of 2 3 7, all draws: smallest, largest, share of either, sd", draws[0], draws[-1], 1 / 27, np.std(draws))

# x and y: sines of running numbers, the same in the tests.
n, dx, dy = 40, 5, 3
x = np.array([[np.sin(1.7 * i * (j + 1) + j) for j in range(dx)] for i in range(n)])
y = np.array([[np.sin(1.7 * i * (j + 2)) + 0.5 * np.cos(0.3 * i * (j + 1) + j) for j in range(dy)] for i in range(n)])
xc, yc = x - x.mean(0), y - y.mean(0)
cka = np.linalg.norm(xc.T @ yc) ** 2 / (np.linalg.norm(xc.T @ xc) * np.linalg.norm(yc.T @ yc))


def hsic(k, l):
    m = len(k)
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))
    one = np.ones(m)
    return (np.trace(k @ l) + one @ k @ one * (one @ l @ one) / ((m - 1) * (m - 2)) - 2 / (m - 2) * (one @ k @ l @ one)) / (m * (m - 3))


k, l = x @ x.T, y @ y.T
show("cka, unbiased", cka, hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l)))
show("rsa correlation, cosine, euclidean", *(
    st.spearmanr(pdist(x, m), pdist(y, m)).statistic for m in ("correlation", "cosine", "euclidean")))


def svcca(x, y, keep):
    def reduced(z):
        u, s, _ = np.linalg.svd(z - z.mean(0), full_matrices=False)
        k = np.searchsorted(np.cumsum(s**2) / np.sum(s**2), keep - 1e-9) + 1
        return u[:, :k] * s[:k]

    a, b = reduced(x), reduced(y)
    k = min(a.shape[1], b.shape[1])
    u, v = CCA(n_components=k, scale=False, max_iter=100000, tol=1e-12).fit_transform(a, b)
    return np.mean([np.corrcoef(u[:, i], v[:, i])[0, 1] for i in range(k)])


show("svcca .99 and .8", svcca(x, y, 0.99), svcca(x, y, 0.8))

# Maps: procrustes and reduced-rank regression on the same x and y.
c = yc.T @ xc / n
u, s, vt = np.linalg.svd(c, full_matrices=False)
r = u @ vt
scale = s.sum() / np.trace(r @ (xc.T @ xc / n) @ r.T)
w = scale * r
show("procrustes 5 to 3: scale, w[0,0], w[2,4], bias[1]", scale, w[0, 0], w[2, 4], (y.mean(0) - w @ x.mean(0))[1])
square, norm = scipy.linalg.orthogonal_procrustes(xc[:, :3], yc)
s3 = norm / np.linalg.norm(xc[:, :3]) ** 2
show("procrustes 3 to 3: scale, w[0,0], w[2,1]", s3, s3 * square.T[0, 0], s3 * square.T[2, 1])
sx, sy = xc.std(0), yc.std(0)
zx, zy, lam, rank = xc / sx, yc / sy, 1e-3, 2
rxx = zx.T @ zx / n + lam * np.eye(dx)
b = np.linalg.solve(rxx, zx.T @ zy / n).T
values, vectors = np.linalg.eigh(b @ rxx @ b.T)
v = vectors[:, -rank:]
low = sy[:, None] * (v @ v.T @ b) / sx
show("low rank 2: w[0,0], w[1,3], w[2,4], bias[0]", low[0, 0], low[1, 3], low[2, 4], (y.mean(0) - low @ x.mean(0))[0])
