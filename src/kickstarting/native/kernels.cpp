// For one thread: the recurrences of V-trace and of an LSTM with resets, which PyTorch cannot do in few calls, and 3x3
// convolutions of small grids, for which its libraries take twice the time of their multiplications; forward and backward.
//
// Compiled once for each instruction set (pyproject.toml) and called through ctypes, which lets go of Python's lock. All arrays
// are float32 and contiguous.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace {

#if defined(__AVX512F__)
constexpr long WIDTH = 16, ROWS = 12;  // 24 of 32 registers accumulate
#else
constexpr long WIDTH = 8, ROWS = 6;  // 12 of 16
#endif
constexpr long PANEL = 2 * WIDTH, DEPTH = 256;  // columns of a packed panel; as many of its rows as stay in the first cache

typedef float Floats __attribute__((vector_size(4 * WIDTH)));
typedef int32_t Ints __attribute__((vector_size(4 * WIDTH)));

inline Floats load(const float* p) {
    Floats x;
    std::memcpy(&x, p, sizeof x);
    return x;
}

inline void store(float* p, Floats x) { std::memcpy(p, &x, sizeof x); }

inline Floats all(float x) { return x - Floats{}; }

// exp to about one unit in the last place: 2^n * exp(r), |r| <= ln(2) / 2, with Taylor's polynomial of degree 7.
inline Floats exponential(Floats x) {
    x = x < -87.0f ? all(-87.0f) : x;
    x = x > 88.0f ? all(88.0f) : x;
    const Floats magic = all(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    const Floats n = (x * 1.44269504f + magic) - magic;
    const Floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    Floats p = all(1.0f / 5040);
    for (const float c : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) p = p * r + c;
    const Ints bits = (__builtin_convertvector(n, Ints) + 127) << 23;
    Floats scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

inline Floats sigmoid(Floats x) { return 1.0f / (1.0f + exponential(-x)); }

inline Floats hyperbolic_tangent(Floats x) { return 2.0f * sigmoid(2.0f * x) - 1.0f; }

// c[R, PANEL] += a[R, depth] * b[depth, PANEL], with the distances of rows. Transposed: a is [depth, R] in memory; else b is packed.
template <long R, bool Transposed>
void tile(const float* a, long a_row, const float* b, long b_row, long depth, float* c, long c_row) {
    Floats sums[R][2];
    for (long r = 0; r < R; ++r) {
        sums[r][0] = load(c + r * c_row);
        sums[r][1] = load(c + r * c_row + WIDTH);
    }
    for (long k = 0; k < depth; ++k) {
        const float* at = b + k * (Transposed ? b_row : PANEL);
        const Floats left = load(at), right = load(at + WIDTH);
#pragma GCC unroll 16
        for (long r = 0; r < R; ++r) {
            const float x = Transposed ? a[k * a_row + r] : a[r * a_row + k];
            sums[r][0] += x * left;
            sums[r][1] += x * right;
        }
    }
    for (long r = 0; r < R; ++r) {
        store(c + r * c_row, sums[r][0]);
        store(c + r * c_row + WIDTH, sums[r][1]);
    }
}

template <long R, bool Transposed>
void tile_of(long rows, const float* a, long a_row, const float* b, long b_row, long depth, float* c, long c_row) {
    if (rows == R) return tile<R, Transposed>(a, a_row, b, b_row, depth, c, c_row);
    if constexpr (R > 1) tile_of<R - 1, Transposed>(rows, a, a_row, b, b_row, depth, c, c_row);
}

// c[rows, columns] += a[rows, inner] * packed[inner, columns]
void multiply(long rows, long inner, long columns, const float* a, const float* packed, float* c) {
    const long blocks = (rows + ROWS - 1) / ROWS;  // of equal height, as far as possible
    for (long k = 0; k < inner; k += DEPTH) {
        const long depth = std::min(DEPTH, inner - k);
        for (long n = 0; n < columns; n += PANEL) {
            const float* panel = packed + n * inner + k * PANEL;
            for (long b = 0; b < blocks; ++b) {
                const long first = b * rows / blocks, height = (b + 1) * rows / blocks - first;
                tile_of<ROWS, false>(height, a + first * inner + k, inner, panel, PANEL, depth, c + first * columns + n, columns);
            }
        }
    }
}

// A 3x3 convolution of stride 1 as products of its patches: what the kernel sees at one position, three runs of 3 C numbers of an
// image [H, W, C]. They are laid out a few positions at a time, so they stay in the second cache.
struct Positions {
    long H, W, C;
    long of_an_image() const { return (H - 2) * (W - 2); }
    long patch() const { return 9 * C; }

    // A call of visit(where in the images, where in the patch) for each run of the patch at position p of all images.
    template <class Visit>
    void runs(long p, Visit visit) const {
        const long image = p / of_an_image(), within = p % of_an_image(), y = within / (W - 2), x = within % (W - 2);
        for (long row = 0; row < 3; ++row) visit(((image * H + y + row) * W + x) * C, row * 3 * C);
    }
};

constexpr long BLOCK = 48;  // positions

}  // namespace

extern "C" {

// H must be a multiple of this.
long kick_panel() { return PANEL; }

// sums[t] = terms[t] + decays[t] * sums[t + 1], [T, B] each, rounded once as PyTorch's addcmul does; nothing follows the last.
void kick_accumulate(long T, long B, const float* terms, const float* decays, float* sums) {
    for (long at = T * B - 1; at >= 0; --at)
        sums[at] = std::fma(decays[at], at + B < T * B ? sums[at + B] : 0.0f, terms[at]);
}

// The matrix w[inner, columns], with the given strides, as panels of PANEL columns.
void kick_pack(const float* w, long inner, long columns, long row_stride, long column_stride, float* packed) {
    for (long n = 0; n < columns; n += PANEL)
        for (long k = 0; k < inner; ++k)
            for (long j = 0; j < PANEL; ++j) *packed++ = w[k * row_stride + (n + j) * column_stride];
}

// gates [T, B, 4 H]: in W x + b, out the activated gates. weight: [H, 4 H], packed. state [2, B, H]: h and c, in and out.
// outputs [T, B, H]. cells [T, B, H], or null: c before each step, after its reset.
void kick_lstm_forward(long T, long B, long H, float* gates, const float* weight, const uint8_t* reset, float* state,
                       float* outputs, float* cells) {
    float *h = state, *c = state + B * H;
    for (long t = 0; t < T; ++t, gates += 4 * B * H, outputs += B * H, reset += B) {
        for (long b = 0; b < B; ++b)
            if (reset[b]) {
                std::fill_n(h + b * H, H, 0.0f);
                std::fill_n(c + b * H, H, 0.0f);
            }
        if (cells) std::memcpy(cells + t * B * H, c, 4 * B * H);
        multiply(B, H, 4 * H, h, weight, gates);
        for (long b = 0; b < B; ++b)
            for (long j = 0; j < H; j += WIDTH) {
                float* gate = gates + 4 * b * H + j;
                const Floats i = sigmoid(load(gate)), f = sigmoid(load(gate + H)), o = sigmoid(load(gate + 2 * H)),
                             g = hyperbolic_tangent(load(gate + 3 * H)), cell = f * load(c + b * H + j) + i * g;
                store(gate, i);
                store(gate + H, f);
                store(gate + 2 * H, o);
                store(gate + 3 * H, g);
                store(c + b * H + j, cell);
                store(h + b * H + j, o * hyperbolic_tangent(cell));
            }
        std::memcpy(outputs, h, 4 * B * H);
    }
}

// gates, cells: what the forward pass left. weight: [4 H, H], packed. d_outputs [T, B, H].
// d_state [2, B, H]: the gradients of the last h and c in, of the first out. d_gates [T, B, 4 H]: out, of W x + b.
void kick_lstm_backward(long T, long B, long H, const float* gates, const float* cells, const float* weight, const uint8_t* reset,
                        const float* d_outputs, float* d_state, float* d_gates) {
    float *dh = d_state, *dc = d_state + B * H;
    for (long t = T - 1; t >= 0; --t) {
        const float *gate = gates + 4 * t * B * H, *before = cells + t * B * H, *d_output = d_outputs + t * B * H;
        float* d_gate = d_gates + 4 * t * B * H;
        for (long b = 0; b < B; ++b)
            for (long j = 0; j < H; j += WIDTH) {
                const long at = b * H + j, at_gate = 4 * b * H + j;
                const Floats i = load(gate + at_gate), f = load(gate + at_gate + H), o = load(gate + at_gate + 2 * H),
                             g = load(gate + at_gate + 3 * H), c = load(before + at),
                             tanh_c = hyperbolic_tangent(f * c + i * g),
                             d_h = load(dh + at) + load(d_output + at),
                             d_c = load(dc + at) + d_h * o * (1.0f - tanh_c * tanh_c);
                store(d_gate + at_gate, d_c * g * i * (1.0f - i));
                store(d_gate + at_gate + H, d_c * c * f * (1.0f - f));
                store(d_gate + at_gate + 2 * H, d_h * tanh_c * o * (1.0f - o));
                store(d_gate + at_gate + 3 * H, d_c * i * (1.0f - g * g));
                store(dc + at, d_c * f);
            }
        std::fill_n(dh, B * H, 0.0f);
        multiply(B, 4 * H, H, d_gate, weight, dh);
        for (long b = 0; b < B; ++b)
            if (reset[t * B + b]) {
                std::fill_n(dh + b * H, H, 0.0f);
                std::fill_n(dc + b * H, H, 0.0f);
            }
    }
}

// x [N, H, W, C], weight [9 C, D], packed, its rows in the order of the kernel's rows, columns, channels; bias [D].
// y [N, H - 2, W - 2, D]: the convolution without padding, or 0 where it is negative. patches: room for BLOCK * 9 C.
void kick_convolve(long N, long H, long W, long C, long D, const float* x, const float* weight, const float* bias, float* y,
                   float* patches) {
    const Positions positions{H, W, C};
    const long all_positions = N * positions.of_an_image(), patch = positions.patch();
    for (long first = 0; first < all_positions; first += BLOCK, y += BLOCK * D) {
        const long count = std::min(BLOCK, all_positions - first);
        for (long p = 0; p < count; ++p) {
            positions.runs(first + p, [&](long from, long to) { std::memcpy(patches + p * patch + to, x + from, 12 * C); });
            std::memcpy(y + p * D, bias, 4 * D);
        }
        multiply(count, patch, D, patches, weight, y);
        for (long at = 0; at < count * D; at += WIDTH) {
            const Floats value = load(y + at);
            store(y + at, value < 0.0f ? Floats{} : value);
        }
    }
}

// y: what the forward pass gave. weight: [D, 9 C], packed; not read if d_x is null. d_y as y. d_x as x, d_weight [9 C, D] and
// d_bias [D]: are added to. room: for BLOCK * (9 C + D).
void kick_convolve_backward(long N, long H, long W, long C, long D, const float* x, const float* y, const float* weight,
                            const float* d_y, float* d_x, float* d_weight, float* d_bias, float* room) {
    const Positions positions{H, W, C};
    const long all_positions = N * positions.of_an_image(), patch = positions.patch();
    float *patches = room, *gradients = room + BLOCK * patch;
    for (long first = 0; first < all_positions; first += BLOCK, y += BLOCK * D, d_y += BLOCK * D) {
        const long count = std::min(BLOCK, all_positions - first);
        for (long p = 0; p < count; ++p)
            for (long j = 0; j < D; j += WIDTH) {
                const Floats gradient = load(y + p * D + j) > 0.0f ? load(d_y + p * D + j) : Floats{};
                store(gradients + p * D + j, gradient);
                store(d_bias + j, load(d_bias + j) + gradient);
            }
        for (long p = 0; p < count; ++p)
            positions.runs(first + p, [&](long from, long to) { std::memcpy(patches + p * patch + to, x + from, 12 * C); });
        for (long n = 0; n < D; n += PANEL)
            for (long m = 0; m < patch; m += ROWS)
                tile_of<ROWS, true>(std::min(ROWS, patch - m), patches + m, patch, gradients + n, D, count, d_weight + m * D + n,
                                    D);
        if (!d_x) continue;
        std::fill_n(patches, count * patch, 0.0f);
        multiply(count, D, patch, gradients, weight, patches);
        for (long p = 0; p < count; ++p)
            positions.runs(first + p, [&](long to, long from) {
                for (long k = 0; k < 3 * C; ++k) d_x[to + k] += patches[p * patch + from + k];
            });
    }
}
}
