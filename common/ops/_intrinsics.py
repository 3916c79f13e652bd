"""What numba does not say to the processor by itself, for kernels that read large tables in pieces of 8 numbers.

Numba unrolls short loops and then does not find the vectors in them.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_READ, _KEEP_IN_ALL_CACHES, _DATA = 0, 3, 1


@intrinsic
def prefetch(typing_context, array, index):
    """`prefetch(array, index)`: element `index` of a one-dimensional array will be read soon."""

    def generate(context, builder, signature, arguments):
        address = builder.bitcast(_address(context, builder, signature, arguments, 0), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        shape = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], shape)
        builder.call(function, [address, number(_READ), number(_KEEP_IN_ALL_CACHES), number(_DATA)])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


@intrinsic
def prefetch_rows_8(typing_context, table, origin, width, entries, first, stride):
    """Elements `origin + width entries[first + k stride]`, k below 8, of `table` will be read soon; as `prefetch`."""

    def generate(context, builder, signature, arguments):
        index, number = ir.IntType(64), ir.IntType(32)
        rows = _address(context, builder, signature, arguments, 0)
        shape = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [ir.IntType(8).as_pointer()], shape)
        for k in range(8):
            place = builder.add(arguments[4], builder.mul(arguments[5], index(k)))
            entry = builder.load(_element(context, builder, signature, arguments, 3, place))
            row = builder.gep(rows, [builder.mul(builder.zext(entry, index), arguments[2])])
            address = builder.bitcast(row, ir.IntType(8).as_pointer())
            builder.call(function, [address, number(_READ), number(_KEEP_IN_ALL_CACHES), number(_DATA)])
        return context.get_dummy_value()

    whole = types.int64
    return types.void(table, whole, whole, entries, whole, whole), generate


@intrinsic
def weighted_sum_8(typing_context, table, origin, entries, weights, first, stride, y, first_y):
    """`y[first_y : first_y + 8] = sum_k weights[first + k stride] * (row origin + entries[first + k stride] of table)`.

    k below 8; rows are 8 numbers; one-dimensional arrays, float32, `entries` uint32. The sums stay in registers.
    """

    def generate(context, builder, signature, arguments):
        vector, index = ir.VectorType(ir.FloatType(), 8), ir.IntType(64)
        rows, target = (
            builder.bitcast(_address(context, builder, signature, arguments, place), vector.as_pointer())
            for place in (0, 6)
        )
        sums = [None, None]  # two, so that one addition need not wait for the other
        for k in range(8):
            place = builder.add(arguments[4], builder.mul(arguments[5], index(k)))
            entry = builder.load(_element(context, builder, signature, arguments, 2, place))
            factor = builder.load(_element(context, builder, signature, arguments, 3, place))
            row = builder.load(builder.gep(rows, [builder.zext(entry, index)]), align=4)
            product = builder.fmul(_spread(builder, factor, 8), row, flags=("contract",))
            before = sums[k % 2]
            sums[k % 2] = product if before is None else builder.fadd(before, product, flags=("contract",))
        builder.store(builder.fadd(*sums), target, align=4)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(table, whole, entries, weights, whole, whole, y, whole), generate


@intrinsic
def scatter_scaled_8(typing_context, table, origin, entries, weights, first, stride, x, first_x):
    """`row origin + entries[first + k stride] of table += weights[first + k stride] * x[first_x : first_x + 8]`.

    As `weighted_sum_8`, the other way round.
    """

    def generate(context, builder, signature, arguments):
        vector, index = ir.VectorType(ir.FloatType(), 8), ir.IntType(64)
        rows, source = (
            builder.bitcast(_address(context, builder, signature, arguments, place), vector.as_pointer())
            for place in (0, 6)
        )
        values = builder.load(source, align=4)
        for k in range(8):
            place = builder.add(arguments[4], builder.mul(arguments[5], index(k)))
            entry = builder.load(_element(context, builder, signature, arguments, 2, place))
            factor = builder.load(_element(context, builder, signature, arguments, 3, place))
            row = builder.gep(rows, [builder.zext(entry, index)])
            product = builder.fmul(_spread(builder, factor, 8), values, flags=("contract",))
            total = builder.fadd(builder.load(row, align=4), product, flags=("contract",))
            builder.store(total, row, align=4)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(table, whole, entries, weights, whole, whole, x, whole), generate


@intrinsic
def float_from_bits(typing_context, bits):
    """The float32 whose bits are those of an int32."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def dense_block(typing_context, weight, place, inputs, x, first_x, y, first_y, stride):
    """Eight outputs of a linear layer for sixteen lanes, float32, kept in registers.

    `y[first_y + j stride + t] = sum_i weight[place + 8 i + j] x[first_x + i stride + t] + weight[place + 8 inputs + j]`
    for j below 8 and t below 16; one-dimensional arrays.
    """

    def generate(context, builder, signature, arguments):
        outputs, vector, index = 8, ir.VectorType(ir.FloatType(), 16), ir.IntType(64)
        weights, source, target = (_address(context, builder, signature, arguments, k) for k in (0, 3, 5))
        inputs, stride = arguments[2], arguments[7]

        def spread(number, j):
            row = builder.add(builder.mul(number, index(outputs)), index(j))
            return _spread(builder, builder.load(builder.gep(weights, [row])), 16)

        def lanes(pointer, row):
            address = builder.gep(pointer, [builder.mul(row, stride)])
            return builder.bitcast(address, vector.as_pointer())

        start = [spread(inputs, j) for j in range(outputs)]
        before, loop = builder.block, builder.append_basic_block("inputs")
        after = builder.append_basic_block("outputs")
        builder.branch(loop)
        builder.position_at_end(loop)
        number, sums = builder.phi(index), [builder.phi(vector) for _ in range(outputs)]
        values = builder.load(lanes(source, number), align=4)
        added = [
            builder.fadd(builder.fmul(spread(number, j), values, flags=("contract",)), sums[j], flags=("contract",))
            for j in range(outputs)
        ]
        following = builder.add(number, index(1))
        for phi, first, again in zip([number, *sums], [index(0), *start], [following, *added], strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(again, loop)
        builder.cbranch(builder.icmp_signed("<", following, inputs), loop, after)
        builder.position_at_end(after)
        for j in range(outputs):
            builder.store(added[j], lanes(target, index(j)), align=4)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(weight, whole, whole, x, whole, y, whole, whole), generate


def _spread(builder, number, count):
    """A vector of `count` times the same number."""
    vector = ir.VectorType(number.type, count)
    empty = ir.Constant(vector, ir.Undefined)
    lane = builder.insert_element(empty, number, ir.IntType(32)(0))
    return builder.shuffle_vector(lane, empty, ir.Constant(ir.VectorType(ir.IntType(32), count), [0] * count))


def _element(context, builder, signature, arguments, place, index):
    """Address of an element of the array that is the argument `place`."""
    kind = signature.args[place]
    array = context.make_array(kind)(context, builder, arguments[place])
    return cgutils.get_item_pointer(context, builder, kind, array, [index], wraparound=False)


def _address(context, builder, signature, arguments, place):
    """Of the element that the arguments `place` (array) and `place + 1` (index) name."""
    kind = signature.args[place]
    array = context.make_array(kind)(context, builder, arguments[place])
    return cgutils.get_item_pointer(context, builder, kind, array, [arguments[place + 1]], wraparound=False)
