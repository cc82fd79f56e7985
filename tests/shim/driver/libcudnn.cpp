// A stand-in libcudnn.so.9: convolutions by plain loops, run in their turn on the stand-in driver's streams. Tensors have
// strides, filters lie channels last; values are float32 or bfloat16, sums float32. One algorithm, number 1, which wants
// WORKSPACE bytes and writes to the last of them. Sizes that do not follow from each other are refused, as cuDNN does.
#include <cstddef>
#include <cstdint>
#include <cstring>

extern "C" int alx_driver_enqueue(void* stream, const char* what, void (*run)(void*), void (*drop)(void*), void* data);

namespace {

constexpr size_t WORKSPACE = 64;
enum Status { SUCCESS = 0, BAD_PARAM = 2000, NOT_SUPPORTED = 3000, EXECUTION_FAILED = 5000 };
enum Kind { FLOAT = 0, BFLOAT16 = 9 };

struct Tensor { int kind, n, c, h, w, stride[4]; };
struct Filter { int kind, k, c, h, w; };
struct Convolution { int pad[2], step[2], groups = 1, mode = 0; };
struct Handle { void* stream = nullptr; };
struct Perf { int algorithm, status; float time; size_t memory; int determinism, math, reserved[3]; };

float value(const void* at, size_t i, int kind) {
    uint32_t bits;
    if (kind == BFLOAT16) bits = uint32_t{static_cast<const uint16_t*>(at)[i]} << 16;
    else std::memcpy(&bits, static_cast<const float*>(at) + i, 4);
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}

void put(void* at, size_t i, int kind, float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    if (kind == BFLOAT16) static_cast<uint16_t*>(at)[i] = x != x ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    else std::memcpy(static_cast<float*>(at) + i, &bits, 4);
}

enum Direction { FORWARD, INPUT, WEIGHTS };

struct Job {
    Tensor x, y;
    Filter w;
    Convolution conv;
    Direction direction;
    void *at_x, *at_w, *at_y, *space;

    size_t of_x(int n, int c, int h, int v) const { return n * x.stride[0] + c * x.stride[1] + h * x.stride[2] + v * x.stride[3]; }
    size_t of_y(int n, int c, int h, int v) const { return n * y.stride[0] + c * y.stride[1] + h * y.stride[2] + v * y.stride[3]; }
    size_t of_w(int k, int c, int h, int v) const { return ((k * w.h + h) * w.w + v) * size_t(w.c) + c; }

    float output(int n, int k, int oy, int ox) const {
        float sum = 0.0f;
        const int first = k / (w.k / conv.groups) * w.c;
        for (int ky = 0; ky < w.h; ky++)
            for (int kx = 0; kx < w.w; kx++) {
                const int h = oy * conv.step[0] - conv.pad[0] + ky, v = ox * conv.step[1] - conv.pad[1] + kx;
                if (h < 0 || h >= x.h || v < 0 || v >= x.w) continue;
                for (int c = 0; c < w.c; c++)
                    sum += value(at_x, of_x(n, first + c, h, v), x.kind) * value(at_w, of_w(k, c, ky, kx), w.kind);
            }
        return sum;
    }

    float input(int n, int c, int h, int v) const {
        float sum = 0.0f;
        const int group = c / w.c, maps = w.k / conv.groups;
        for (int ky = 0; ky < w.h; ky++)
            for (int kx = 0; kx < w.w; kx++) {
                const int top = h + conv.pad[0] - ky, left = v + conv.pad[1] - kx;
                if (top < 0 || left < 0 || top % conv.step[0] || left % conv.step[1]) continue;
                const int oy = top / conv.step[0], ox = left / conv.step[1];
                if (oy >= y.h || ox >= y.w) continue;
                for (int k = group * maps; k < (group + 1) * maps; k++)
                    sum += value(at_y, of_y(n, k, oy, ox), y.kind) * value(at_w, of_w(k, c % w.c, ky, kx), w.kind);
            }
        return sum;
    }

    float weight(int k, int c, int ky, int kx) const {
        float sum = 0.0f;
        const int channel = k / (w.k / conv.groups) * w.c + c;
        for (int n = 0; n < y.n; n++)
            for (int oy = 0; oy < y.h; oy++)
                for (int ox = 0; ox < y.w; ox++) {
                    const int h = oy * conv.step[0] - conv.pad[0] + ky, v = ox * conv.step[1] - conv.pad[1] + kx;
                    if (h < 0 || h >= x.h || v < 0 || v >= x.w) continue;
                    sum += value(at_y, of_y(n, k, oy, ox), y.kind) * value(at_x, of_x(n, channel, h, v), x.kind);
                }
        return sum;
    }

    static void run(void* data) {
        auto* j = static_cast<Job*>(data);
        static_cast<char*>(j->space)[WORKSPACE - 1] = 1;
        if (j->direction == FORWARD)
            for (int n = 0; n < j->y.n; n++)
                for (int k = 0; k < j->y.c; k++)
                    for (int h = 0; h < j->y.h; h++)
                        for (int v = 0; v < j->y.w; v++) put(j->at_y, j->of_y(n, k, h, v), j->y.kind, j->output(n, k, h, v));
        if (j->direction == INPUT)
            for (int n = 0; n < j->x.n; n++)
                for (int c = 0; c < j->x.c; c++)
                    for (int h = 0; h < j->x.h; h++)
                        for (int v = 0; v < j->x.w; v++) put(j->at_x, j->of_x(n, c, h, v), j->x.kind, j->input(n, c, h, v));
        if (j->direction == WEIGHTS)
            for (int k = 0; k < j->w.k; k++)
                for (int c = 0; c < j->w.c; c++)
                    for (int h = 0; h < j->w.h; h++)
                        for (int v = 0; v < j->w.w; v++) put(j->at_w, j->of_w(k, c, h, v), j->w.kind, j->weight(k, c, h, v));
    }
    static void drop(void* data) { delete static_cast<Job*>(data); }
};

int check(const Tensor& x, const Filter& w, const Convolution& conv, const Tensor& y) {
    if (x.kind != w.kind || x.kind != y.kind || conv.mode != 1 || x.n != y.n || w.k != y.c) return BAD_PARAM;
    if (x.c != w.c * conv.groups || w.k % conv.groups) return BAD_PARAM;
    if ((x.h + 2 * conv.pad[0] - w.h) / conv.step[0] + 1 != y.h || (x.w + 2 * conv.pad[1] - w.w) / conv.step[1] + 1 != y.w)
        return BAD_PARAM;
    return SUCCESS;
}

int convolve(void* handle, Direction direction, const void* alpha, const Tensor* x, void* at_x, const Filter* w, void* at_w,
             const Convolution* conv, int algorithm, void* space, size_t bytes, const void* beta, const Tensor* y, void* at_y) {
    if (*static_cast<const float*>(alpha) != 1.0f || *static_cast<const float*>(beta) != 0.0f) return NOT_SUPPORTED;
    if (const int wrong = check(*x, *w, *conv, *y)) return wrong;
    if (algorithm != 1) return NOT_SUPPORTED;
    if (!space || bytes < WORKSPACE) return BAD_PARAM;
    auto* job = new Job{*x, *y, *w, *conv, direction, at_x, at_w, at_y, space};
    return alx_driver_enqueue(static_cast<Handle*>(handle)->stream, "cuDNN", &Job::run, &Job::drop, job) ? EXECUTION_FAILED : SUCCESS;
}

// Fails as a search does whose workspace or sizes do not fit; else names an algorithm that cannot be used, then the one.
int find(const Tensor* x, const Filter* w, const Convolution* conv, const Tensor* y, int asked, int* found, Perf* results,
         size_t bytes) {
    if (const int wrong = check(*x, *w, *conv, *y)) return wrong;
    if (asked < 2 || bytes < WORKSPACE) return BAD_PARAM;
    results[0] = Perf{0, SUCCESS, 0.5f, 0, 0, 3, {0, 0, 0}};  // not deterministic
    results[1] = Perf{1, SUCCESS, 1.0f, WORKSPACE, 1, 3, {0, 0, 0}};
    *found = 2;
    return SUCCESS;
}

int size(size_t* bytes) {
    *bytes = WORKSPACE;
    return SUCCESS;
}

}  // namespace

extern "C" {

size_t cudnnGetVersion() { return 91300; }
int cudnnCreate(Handle** handle) { *handle = new Handle; return SUCCESS; }
int cudnnDestroy(Handle* handle) { delete handle; return SUCCESS; }
int cudnnSetStream(Handle* handle, void* stream) { handle->stream = stream; return SUCCESS; }
int cudnnCreateTensorDescriptor(Tensor** t) { *t = new Tensor{}; return SUCCESS; }
int cudnnDestroyTensorDescriptor(Tensor* t) { delete t; return SUCCESS; }
int cudnnCreateFilterDescriptor(Filter** f) { *f = new Filter{}; return SUCCESS; }
int cudnnDestroyFilterDescriptor(Filter* f) { delete f; return SUCCESS; }
int cudnnCreateConvolutionDescriptor(Convolution** c) { *c = new Convolution{}; return SUCCESS; }
int cudnnDestroyConvolutionDescriptor(Convolution* c) { delete c; return SUCCESS; }

int cudnnSetTensor4dDescriptorEx(Tensor* t, int kind, int n, int c, int h, int w, int sn, int sc, int sh, int sw) {
    if (kind != FLOAT && kind != BFLOAT16) return NOT_SUPPORTED;
    *t = Tensor{kind, n, c, h, w, {sn, sc, sh, sw}};
    return SUCCESS;
}

int cudnnSetFilter4dDescriptor(Filter* f, int kind, int format, int k, int c, int h, int w) {
    if (format != 1 || (kind != FLOAT && kind != BFLOAT16)) return NOT_SUPPORTED;  // NHWC
    *f = Filter{kind, k, c, h, w};
    return SUCCESS;
}

int cudnnSetConvolution2dDescriptor(Convolution* c, int ph, int pw, int sh, int sw, int dh, int dw, int mode, int compute) {
    if (dh != 1 || dw != 1 || compute != FLOAT) return NOT_SUPPORTED;
    *c = Convolution{{ph, pw}, {sh, sw}, 1, mode};
    return SUCCESS;
}

int cudnnSetConvolutionGroupCount(Convolution* c, int groups) { c->groups = groups; return SUCCESS; }
int cudnnSetConvolutionMathType(Convolution*, int math) { return math < 0 || math > 3 ? BAD_PARAM : SUCCESS; }

int cudnnGetConvolutionForwardWorkspaceSize(void*, Tensor*, Filter*, Convolution*, Tensor*, int, size_t* bytes) { return size(bytes); }
int cudnnGetConvolutionBackwardDataWorkspaceSize(void*, Filter*, Tensor*, Convolution*, Tensor*, int, size_t* bytes) { return size(bytes); }
int cudnnGetConvolutionBackwardFilterWorkspaceSize(void*, Tensor*, Tensor*, Convolution*, Filter*, int, size_t* bytes) { return size(bytes); }

int cudnnFindConvolutionForwardAlgorithmEx(void*, Tensor* x, void*, Filter* w, void*, Convolution* c, Tensor* y, void*,
                                           int asked, int* found, Perf* results, void*, size_t bytes) {
    return find(x, w, c, y, asked, found, results, bytes);
}
int cudnnFindConvolutionBackwardDataAlgorithmEx(void*, Filter* w, void*, Tensor* y, void*, Convolution* c, Tensor* x, void*,
                                                int asked, int* found, Perf* results, void*, size_t bytes) {
    return find(x, w, c, y, asked, found, results, bytes);
}
int cudnnFindConvolutionBackwardFilterAlgorithmEx(void*, Tensor* x, void*, Tensor* y, void*, Convolution* c, Filter* w, void*,
                                                  int asked, int* found, Perf* results, void*, size_t bytes) {
    return find(x, w, c, y, asked, found, results, bytes);
}

int cudnnConvolutionForward(void* handle, const void* alpha, Tensor* x, void* at_x, Filter* w, void* at_w, Convolution* c,
                            int algorithm, void* space, size_t bytes, const void* beta, Tensor* y, void* at_y) {
    return convolve(handle, FORWARD, alpha, x, at_x, w, at_w, c, algorithm, space, bytes, beta, y, at_y);
}
int cudnnConvolutionBackwardData(void* handle, const void* alpha, Filter* w, void* at_w, Tensor* y, void* at_y, Convolution* c,
                                 int algorithm, void* space, size_t bytes, const void* beta, Tensor* x, void* at_x) {
    return convolve(handle, INPUT, alpha, x, at_x, w, at_w, c, algorithm, space, bytes, beta, y, at_y);
}
int cudnnConvolutionBackwardFilter(void* handle, const void* alpha, Tensor* x, void* at_x, Tensor* y, void* at_y, Convolution* c,
                                   int algorithm, void* space, size_t bytes, const void* beta, Filter* w, void* at_w) {
    return convolve(handle, WEIGHTS, alpha, x, at_x, w, at_w, c, algorithm, space, bytes, beta, y, at_y);
}

}  // extern "C"
