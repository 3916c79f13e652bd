"""Compile the Triton kernels of ops for a GPU that need not be there: the interpreter accepts more than the compiler.

    python tests/common/ops/compile_kernels.py 90 plane_sweep volume_sampling

Prints the name of every kernel it compiled for that compute capability (90 is Hopper).
"""

import importlib
import sys

# Arguments that are no arrays; sizes of one letter are plain integers, see common/ops/_triton.py.
CONSTANTS = {"S": 2, "C": 8, "L": 2, "BLOCK": 32, "CHANNELS": 8, "is_smooth": True}
ARRAYS = {"levels": "*i64", "scales": "*fp64"}  # the others are float32


def main(capability: int, ops: list[str]) -> None:
    for op in ops:
        importlib.import_module(f"common.ops.{op}")
    if "triton" in sys.modules:
        raise RuntimeError("importing an op imports triton")
    for op in ops:
        module = importlib.import_module(f"common.ops.{op}.triton_kernels")
        for name, kernel in vars(module).items():
            if name.endswith("_kernel"):
                compile_kernel(kernel, capability)
                print(f"{op}.{name}")


def compile_kernel(kernel, capability: int) -> None:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from common.ops._triton import OPTIONS

    signature, constants = {}, {}
    for parameter in kernel.params:
        if parameter.is_constexpr:
            signature[parameter.name], constants[parameter.name] = "constexpr", CONSTANTS[parameter.name]
        else:
            signature[parameter.name] = "i32" if parameter.do_not_specialize else ARRAYS.get(parameter.name, "*fp32")
    source = ASTSource(kernel, signature, constants)
    triton.compile(source, target=GPUTarget("cuda", capability, 32), options=OPTIONS)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
