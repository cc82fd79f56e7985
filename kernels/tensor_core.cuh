// What tensor cores and asynchronous copies need, for a GPU of compute capability 8.0 or more and for the host shim.
//
// A warp multiplies 16×16 by 16×8 bfloat16 values and adds to 16×8 float32. Lane l holds, with g = l / 4 and t = l % 4:
//   a[0..4]  pairs of a row: (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8), the second index along the sum
//   b[0..2]  pairs of a column: (2t, g), (2t + 8, g)
//   d[0..4]  (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
#ifndef ALX_TENSOR_CORE
#define ALX_TENSOR_CORE
#include "lanes.cuh"

// 16 bytes: eight bfloat16 values.
typedef Words32<4> Chunk;

#ifdef ALX_HOST_SHIM

// An address in shared memory, to which bytes are added.
typedef char* Shared;
__device__ inline Shared shared_at(Chunk* at) { return reinterpret_cast<Shared>(at); }

__device__ inline void copy_async(Shared to, const void* from, bool there) {
    *reinterpret_cast<Chunk*>(to) = there ? *static_cast<const Chunk*>(from) : Chunk{};
}
__device__ inline void copy_commit() {}
template <int LEFT> __device__ inline void copy_wait() {}

__device__ inline void multiply_add(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    alx_warp_multiply(d, a, b);
}
__device__ inline void load_rows(unsigned (&to)[4], Shared row) { alx_warp_load(to, row, false); }
__device__ inline void load_turned(unsigned (&to)[4], Shared row) { alx_warp_load(to, row, true); }

#else

typedef unsigned Shared;
__device__ inline Shared shared_at(Chunk* at) { return static_cast<unsigned>(__cvta_generic_to_shared(at)); }

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

// Copies 16 bytes to shared memory in the background, or zeros, for which nothing is read.
__device__ inline void copy_async(Shared to, const void* from, bool there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(there ? 16 : 0));
}
__device__ inline void copy_commit() { asm volatile("cp.async.commit_group;"); }
// Waits until at most LEFT of the groups committed are under way.
template <int LEFT> __device__ inline void copy_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory"); }

__device__ inline void multiply_add(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four 8×8 squares, whose rows 0..8 the lanes 8i .. 8i + 8 name for square i; a lane gets values (g, 2t), (g, 2t + 1) of each.
__device__ inline void load_rows(unsigned (&to)[4], Shared row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(row)
                 : "memory");
}

// The same of the squares turned: values (2t, g), (2t + 1, g).
__device__ inline void load_turned(unsigned (&to)[4], Shared row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(row)
                 : "memory");
}

#else  // never launched on such devices

__device__ inline void copy_async(Shared, const void*, bool) {}
__device__ inline void copy_commit() {}
template <int LEFT> __device__ inline void copy_wait() {}
__device__ inline void multiply_add(float (&)[4], const unsigned (&)[4], const unsigned (&)[2]) {}
__device__ inline void load_rows(unsigned (&)[4], Shared) {}
__device__ inline void load_turned(unsigned (&)[4], Shared) {}

#endif
#endif
#endif
