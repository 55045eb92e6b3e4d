//===- Passes.td - from a propagated model to an exec program -------------===//
#ifndef COPPICE_SCHEDULE_PASSES_TD
#define COPPICE_SCHEDULE_PASSES_TD

include "mlir/Pass/PassBase.td"

def PruneFormGathers : Pass<"prune-form-gathers", "::mlir::ModuleOp"> {
  let summary = "Turn restrictions and extensions of computed columns into gathers by a table";
  let description = [{
    What is left of `prune.restrict` and `prune.extend` along the columns of a
    value of the step becomes a `prune.gather`, an extension together with the
    restriction below it. The table is a global; equal ones are shared. A gather
    that only a sublayer's sum reads, `residual.SUBLAYER`, is put where the old
    residual is made, outside of the sublayer.

    ```mlir
    #id = affine_map<(d0, d1) -> (d0, d1)>
    func.func @map(%r0: tensor<?x4xf32>, %d: tensor<?x3xf32>, %e: tensor<?x3xf32>) -> tensor<?x3xf32> {
      %s = prune.restrict %r0 axis 1 keep #prune.set<[1, 3] of 4> in tensor<?x4xf32> -> tensor<?x2xf32>
      %x = prune.extend %s axis 1 keep #prune.set<[0, 2] of 3> in tensor<?x2xf32> -> tensor<?x3xf32>
      %r1 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
          ins(%x, %d : tensor<?x3xf32>, tensor<?x3xf32>) outs(%e : tensor<?x3xf32>) attrs = {prune.site = "layers.0.mlp"} {
      ^bb0(%r: f32, %a: f32, %o: f32):
        %sum = arith.addf %r, %a : f32
        linalg.yield %sum : f32
      } -> tensor<?x3xf32>
      return %r1 : tensor<?x3xf32>
    }
    ```
    becomes
    ```mlir
    ml_program.global private @residual.layers.0.mlp.columns(dense<[1, -1, 3]> : tensor<3xi32>) : tensor<3xi32>
    func.func @map(%r0: tensor<?x4xf32>, %d: tensor<?x3xf32>, ...
      %t = ml_program.global_load_const @residual.layers.0.mlp.columns : tensor<3xi32>
      %x = prune.gather "residual.layers.0.mlp" %r0 by %t : tensor<?x4xf32>, tensor<3xi32> -> tensor<?x3xf32>
      %r1 = linalg.generic {...} ins(%x, %d : ...
    ```

    Left alone: rows, weights, and sets without a count.
  }];
  let dependentDialects = ["::coppice::prune::PruneDialect", "::mlir::ml_program::MLProgramDialect"];
  let statistics = [Statistic<"formed", "formed", "gathers that were formed">];
}

def PruneFuseEpilogues : Pass<"prune-fuse-epilogues"> {
  let summary = "Pull elementwise consumers into the epilogues of GEMMs";
  let description = [{
    A `linalg.generic` that is elementwise (parallel iterators only, identity
    maps, or `[N]` vectors along columns) moves into the epilogue of the
    `prune.gemm` that makes one of its operands, if nobody else uses that GEMM's
    result. Of two such GEMMs the later one is taken and reads the other's
    result: `silu(gate) * up` becomes part of `up`. The generic's site becomes
    the GEMM's `value`, its `prune.kept` the GEMM's.

    ```mlir
    #id = affine_map<(d0, d1) -> (d0, d1)>
    func.func @down(%r0: tensor<?x3xf32>, %x: tensor<?x5xf32>, %w: tensor<3x5xbf16>, %e: tensor<?x3xf32>) -> tensor<?x3xf32> {
      %d = prune.gemm "layers.0.mlp.down" %x, %w : tensor<?x5xf32>, tensor<3x5xbf16> -> tensor<?x3xf32>
      %r1 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
          ins(%r0, %d : tensor<?x3xf32>, tensor<?x3xf32>) outs(%e : tensor<?x3xf32>) attrs = {prune.site = "layers.0.mlp"} {
      ^bb0(%r: f32, %a: f32, %o: f32):
        %s = arith.addf %r, %a : f32
        linalg.yield %s : f32
      } -> tensor<?x3xf32>
      return %r1 : tensor<?x3xf32>
    }
    ```
    becomes
    ```mlir
    func.func @down(%r0: tensor<?x3xf32>, %x: tensor<?x5xf32>, %w: tensor<3x5xbf16>, ...
      %r1 = prune.gemm "layers.0.mlp.down" %x, %w value "layers.0.mlp" epilogue(%acc: f32, %r: f32 = %r0 : tensor<?x3xf32>) {
        %s = arith.addf %r, %acc : f32
        prune.yield %s : f32
      } : tensor<?x5xf32>, tensor<3x5xbf16> -> tensor<?x3xf32>
    ```

    Left alone: a GEMM's result with several uses, reductions, transposed or
    broadcast rows, and bodies that read their output or their indices.
  }];
  let dependentDialects = ["::coppice::prune::PruneDialect"];
  let statistics = [Statistic<"fused", "fused", "elementwise ops moved into an epilogue">];
}

def PruneChooseFallbacks : Pass<"prune-choose-fallbacks", "::mlir::ModuleOp"> {
  let summary = "Choose which products run dense, where skipping is predicted not to pay";
  let description = [{
    A projection of groups of columns by a mask is left to the products that read
    it, as lists of rows for each group of K, and to those that make it, as lists
    for each panel of N. Small groups, of which most are kept, make that slower
    than computing all and setting the rest to zero (`lib/Schedule/SkipGain.h` has
    the model; groups that kernels have no packing for are much slower). There the
    projection is marked `prune.fallback` and stays a select, and what reads and
    makes it computes all rows. If the products that make it alone are slower by
    lists, only these are marked. `prune.fallbacks` of the module lists the GEMMs
    that run dense, with the share that is `expected` to be kept and how much
    faster, or slower, they would be by lists.

    ```mlir
    func.func @down(%x: tensor<?x64xf32>, %s: tensor<?x8xf32>, %f: tensor<?x4xi8>, %w: tensor<96x64xf32>) -> tensor<?x96xf32> {
      %m = prune.decide "layers.0.mlp.route" %s forced %f column 0 expected 9.375e-01 : tensor<?x8xf32>, tensor<?x4xi8> -> tensor<?x4xi8>
      %p = prune.project_by "layers.0.mlp" %x, %m groups of 16 : tensor<?x64xf32>, tensor<?x4xi8>
      %d = prune.gemm "layers.0.mlp.down" %p, %w : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32>
      return %d : tensor<?x96xf32>
    }
    ```
    becomes
    ```mlir
    module attributes {prune.fallbacks = [{expected = 9.375000e-01 : f64, group = 16 : i64, masked = true, ...
    func.func @down(%x: tensor<?x64xf32>, ...
      %p = prune.project_by "layers.0.mlp.project" %x, %m groups of 16 {prune.fallback} : tensor<?x64xf32>, tensor<?x4xi8>
      %d = prune.gemm "layers.0.mlp.down" %p, %w : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32>
    ```

    And `zeros S` of a GEMM is dropped where S is so small that looking for zeros
    is predicted to take longer than it saves.

    Left alone: projections of whole rows, whose lists cost nothing; projections
    that someone else reads too, which are selects in any case.
  }];
  let statistics = [Statistic<"fallen", "fallbacks", "products that run dense">];
}

def PruneSinkRoutes : Pass<"prune-sink-routes"> {
  let summary = "Move projections of routes to where they can be left out";
  let description = [{
    `r + P_m x`, P_m being a `prune.project_by` that nobody else reads, becomes
    `P_m (r + x)` into r: the rows that the mask does not keep are r either way.
    Then the sum reads what the sublayer computes, and may become the epilogue
    of its last product.

    ```mlir
    #id = affine_map<(d0, d1) -> (d0, d1)>
    func.func @down(%r0: tensor<?x3xf32>, %d: tensor<?x3xf32>, %m: tensor<?x1xi8>, %e: tensor<?x3xf32>) -> tensor<?x3xf32> {
      %p = prune.project_by "layers.0.mlp" %d, %m : tensor<?x3xf32>, tensor<?x1xi8>
      %r1 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
          ins(%r0, %p : tensor<?x3xf32>, tensor<?x3xf32>) outs(%e : tensor<?x3xf32>) attrs = {prune.site = "layers.0.mlp"} {
      ^bb0(%r: f32, %a: f32, %o: f32):
        %s = arith.addf %r, %a : f32
        linalg.yield %s : f32
      } -> tensor<?x3xf32>
      return %r1 : tensor<?x3xf32>
    }
    ```
    becomes
    ```mlir
    func.func @down(%r0: tensor<?x3xf32>, %d: tensor<?x3xf32>, %m: tensor<?x1xi8>, ...
      %s = linalg.generic ... ins(%r0, %d : ...
      %r1 = prune.project_by "layers.0.mlp" %s, %m : tensor<?x3xf32>, tensor<?x1xi8> into %r0 : tensor<?x3xf32>
      return %r1
    ```

    Where something stands in for the rows that are passed by, they are sums of
    their own: `r + (P_m x into f)` becomes `P_m (t + x) into t`, with
    `t = P_(not m) (r + f) into r`. And a `prune.gemm` that reads a projection of
    groups of columns becomes one over the rows that each group of K has.

    Left alone: projections that others read too, and sums of another form.
  }];
  let dependentDialects = ["::coppice::prune::PruneDialect"];
  let statistics = [
    Statistic<"sunkBelow", "sunk", "projections moved below a sum">,
    Statistic<"leftToProducts", "left-to-products", "projections of groups of columns that products leave out">,
  ];
}

def PruneFormRowSets : Pass<"prune-form-row-sets", "::mlir::func::FuncOp"> {
  let summary = "Compute only the rows that a route keeps";
  let description = [{
    A `prune.project_by .. into` of what a `prune.gemm` computes becomes that GEMM
    over a set of rows, which updates `into`. From there up, products, norms,
    rotary embeddings and attention whose results are read in these rows only
    are over them too: what they leave in the other rows is not defined. The list
    of rows is made once for a mask, by `prune.compact`. Where a GEMM reads the rows
    of each group of K, those that make its input are over the same rows of each
    group of columns: `per panel` of a GEMM, heads of attention.

    ```mlir
    func.func @mlp(%r: tensor<?x3xf32>, %m: tensor<?x1xi8>, %g: tensor<3xf32>, %up: tensor<5x3xf32>, %down: tensor<3x5xf32>) -> tensor<?x3xf32> {
      %n = decoder.rms_norm "layers.0.mlp.norm" %r, %g {divisor = 3 : i64, epsilon = 1.0e-5 : f32} : tensor<?x3xf32>, tensor<3xf32>
      %u = prune.gemm "layers.0.mlp.up" %n, %up : tensor<?x3xf32>, tensor<5x3xf32> -> tensor<?x5xf32>
      %d = prune.gemm "layers.0.mlp.down" %u, %down : tensor<?x5xf32>, tensor<3x5xf32> -> tensor<?x3xf32>
      %s = prune.project_by "layers.0.mlp" %d, %m : tensor<?x3xf32>, tensor<?x1xi8> into %r : tensor<?x3xf32>
      return %s : tensor<?x3xf32>
    }
    ```
    becomes
    ```mlir
    func.func @mlp(%r: tensor<?x3xf32>, %m: tensor<?x1xi8>, ...
      %list, %count = prune.compact "" %m : tensor<?x1xi8> -> tensor<?xi32>, tensor<i32>
      %n = decoder.rms_norm "layers.0.mlp.norm" %r, %g rows(%list, %count : tensor<?xi32>) ...
      %u = prune.gemm "layers.0.mlp.up" %n, %up rows both(%list, %count : tensor<?xi32>) into %empty ...
      %d = prune.gemm "layers.0.mlp.down" %u, %down rows both(%list, %count : tensor<?xi32>) into %r ...
    ```

    Left alone: what someone reads whole (keys and values, and the norm ahead of
    them), elementwise ops that are not part of a GEMM.
  }];
  let dependentDialects = ["::coppice::prune::PruneDialect", "::mlir::tensor::TensorDialect"];
  let statistics = [Statistic<"formed", "formed", "ops that compute less than all rows">];
}

def PruneRoundValues : Pass<"prune-round-values"> {
  let summary = "Round named values to 16 bits, for the oracle of a program that stores them so";
  let description = [{
    A program may store a value in bf16, or f16, that the model has in f32
    (`prune-narrow-inputs`). Its oracle then rounds the same value: what is left
    between the two is the order of sums, and the comparison need not leave room
    for a rounding at each site. What a program computes between two factors of a
    weight is no value of the model, and goes by its site. A value that no op has the name of is left out;
    each named one is rounded by one op more, which has the name too.

    ```mlir
    // --prune-round-values=names=final.norm
    func.func @norm(%x: tensor<?x6xf32>, %g: tensor<6xf32>) -> tensor<?x6xf32> {
      %n = decoder.rms_norm "final.norm" %x, %g {epsilon = 1.0e-5 : f32, divisor = 6 : i64} : tensor<?x6xf32>, tensor<6xf32>
      return %n : tensor<?x6xf32>
    }
    ```
    becomes
    ```mlir
    func.func @norm(%x: tensor<?x6xf32>, ...
      %n = decoder.rms_norm "final.norm" %x, %g {...} : tensor<?x6xf32>, tensor<6xf32>
      %rounded = linalg.generic {...} ins(%n : tensor<?x6xf32>) outs(...) attrs = {prune.site = "final.norm"} {
        ...
        %b = arith.truncf %e : f32 to bf16
        %w = arith.extf %b : bf16 to f32
        linalg.yield %w : f32
      }
      return %rounded : tensor<?x6xf32>
    ```
  }];
  let options = [
    ListOption<"names", "names", "std::string", "Names of values">,
    Option<"f16", "f16", "bool", "false", "Round to f16 instead of bf16">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::tensor::TensorDialect"
  ];
}

def PruneNarrowInputs : Pass<"prune-narrow-inputs"> {
  let summary = "Round what GEMMs, attention and caches use in 16 bits where it is made";
  let description = [{
    A processor that multiplies pairs of bf16 rounds both factors to bf16. Where
    the weight of a `prune.gemm` is bf16 and its input is f32, the op that makes
    the input rounds its result instead, once for all GEMMs that read it (q, k and
    v; gate and up): a norm, a rotary embedding and an attention have a narrower
    result, an elementwise op or a GEMM yields a narrower element. So does what
    makes the query of an attention over bf16 caches, or the rows of an append to
    one. Half as much is then stored and read, and nobody converts. What the value
    is called, and what it has kept, stays as it is.

    ```mlir
    func.func @qk(%x: tensor<?x6xf32>, %g: tensor<6xbf16>, %wq: tensor<3x6xbf16>, %wk: tensor<5x6xbf16>) -> (tensor<?x3xf32>, tensor<?x5xf32>) {
      %n = decoder.rms_norm "layers.0.attn.norm" %x, %g {epsilon = 1.0e-5 : f32, divisor = 6 : i64} : tensor<?x6xf32>, tensor<6xbf16>
      %q = prune.gemm "layers.0.attn.q" %n, %wq : tensor<?x6xf32>, tensor<3x6xbf16> -> tensor<?x3xf32>
      %k = prune.gemm "layers.0.attn.k" %n, %wk : tensor<?x6xf32>, tensor<5x6xbf16> -> tensor<?x5xf32>
      return %q, %k : tensor<?x3xf32>, tensor<?x5xf32>
    }
    ```
    becomes
    ```mlir
    func.func @qk(%x: tensor<?x6xf32>, ...
      %n = decoder.rms_norm "layers.0.attn.norm" %x, %g {...} : tensor<?x6xf32>, tensor<6xbf16> -> tensor<?x6xbf16>
      %q = prune.gemm "layers.0.attn.q" %n, %wq : tensor<?x6xbf16>, tensor<3x6xbf16> -> tensor<?x3xf32>
      %k = prune.gemm "layers.0.attn.k" %n, %wk : tensor<?x6xbf16>, tensor<5x6xbf16> -> tensor<?x5xf32>
    ```

    A select by a mask (`prune.project_by`) rounds nothing: what makes its input
    does. With the option `f16` the same is done where f16 is met: for targets
    that multiply pairs of f16, which CPUs do not.

    Left alone: weights of other types; a value that someone else reads too, who
    would see it rounded; and what other ops make (arguments, gathers).
  }];
  let options = [
    Option<"f16", "f16", "bool", "false", "Values that meet f16 are f16, too">
  ];
  let statistics = [Statistic<"narrowed", "narrowed", "values rounded where they are made">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"];
}

def ExecFormDispatches : Pass<"exec-form-dispatches", "::mlir::ModuleOp"> {
  let summary = "Replace @forward by an exec.program and a module of kernels";
  let description = [{
    Every tensor op becomes one dispatch of one kernel: the op alone in a
    function whose arguments are its inputs, then one destination for each
    result. Kernels that are equal but for the names of sites are one kernel.
    `tensor.empty`, fills, constants and index arithmetic move into the kernels
    that use them; a `tensor.empty` that initialises a result is the
    destination itself.

    - A cache is a state, appended to in place; it is an error if the old cache
      is still used, for then all of it would have to be copied.
    - The op whose value has the name of a sublayer (`layers.3.mlp`) updates the
      residual stream: its destination is the residual's buffer. Should the old
      residual be used later, it is copied before the group. A sublayer
      whose last op is no such update cannot be switched off and is no group.
    - A value's name goes to the last dispatch of that name; `prune.kept` becomes
      `kept`, with granules expanded.
    - Costs are attached, as expressions.

    Extents must be the program's symbols: those of the step's fields, of the
    caches, and what is derived from them by `tensor.dim`.

    ```mlir
    // --exec-form-dispatches=max-context=33
    ml_program.global private @w(#ml_program.extern : tensor<11x5xf32>) : tensor<11x5xf32>
    func.func @forward(%tokens: tensor<?xi32> {decoder.step = "tokens"}) -> tensor<?x11xf32> {
      %w = ml_program.global_load_const @w : tensor<11x5xf32>
      %x = decoder.lookup "embed" %tokens in %w : tensor<?xi32>, tensor<11x5xf32> -> tensor<?x5xf32>
      %y = prune.gemm "lm_head" %x, %w : tensor<?x5xf32>, tensor<11x5xf32> -> tensor<?x11xf32>
      return %y : tensor<?x11xf32>
    }
    ```
    becomes
    ```mlir
    exec.program @forward ... limits <rows = 4096, slots = 8, context = 33> {
      %tokens = exec.step "tokens" ["rows"] : memref<?xi32>
      %w = exec.weight "w" @w packing <rows> : memref<11x5xf32>
      %x = exec.buffer ["rows", 5] : memref<?x5xf32>
      exec.dispatch "embed" lookup value "embed" (%tokens, %w, %x) writes [2] variants [#exec.variant<[<kernel = @kernels::@lookup_5>]>] ...
      %y = exec.buffer ["rows", 11] : memref<?x11xf32>
      exec.dispatch "lm_head" gemm value "lm_head" (%x, %w, %y) writes [2] ... shape <m = ..., n = 11, k = 5>
      exec.output "logits" %y
    module @kernels {
      func.func @gemm_n11_k5_f32(%a: tensor<?x5xf32> {exec.dims = ["rows", 5]}, %b: tensor<11x5xf32>, %out: ...
        %c = prune.gemm "" %a, %b
        return %c
    ```
  }];
  let options = [
    Option<"oracle", "oracle", "bool", "false",
           "Mark the program as an oracle: dense values, plain kernels">,
    Option<"maxRows", "max-rows", "int64_t", "4096", "Limit of rows in one step">,
    Option<"maxBatch", "max-batch", "int64_t", "8", "Limit of sequences in the KV cache">,
    Option<"maxContext", "max-context", "int64_t", "0",
           "Limit of tokens per sequence; 0: the model's context">];
  let dependentDialects = ["::coppice::exec::ExecDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::memref::MemRefDialect", "::mlir::func::FuncDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
  let statistics = [Statistic<"dispatches", "dispatches", "dispatches formed">,
                    Statistic<"kernels", "kernels", "different kernels">];
}

def ExecSelectKernels : Pass<"exec-select-kernels", "::mlir::ModuleOp"> {
  let summary = "Choose each kernel's configuration, grid and weight packing";
  let description = [{
    Asks the target's planner about each kernel once and writes down what it
    says, for code generation and the bundle to read: `exec.config` on the
    kernel, `exec.packing` on weight arguments, `grid` and `config` on the
    dispatches' variants. A weight that kernels want in two layouts becomes two
    `exec.weight`s. This is the only place that chooses.

    ```mlir
    // --exec-form-dispatches=max-context=33 --exec-select-kernels
    ml_program.global private @w(#ml_program.extern : tensor<11x5xf32>) : tensor<11x5xf32>
    func.func @forward(%tokens: tensor<?xi32> {decoder.step = "tokens"}) -> tensor<?x11xf32> {
      %w = ml_program.global_load_const @w : tensor<11x5xf32>
      %x = decoder.lookup "embed" %tokens in %w : tensor<?xi32>, tensor<11x5xf32> -> tensor<?x5xf32>
      %y = prune.gemm "lm_head" %x, %w : tensor<?x5xf32>, tensor<11x5xf32> -> tensor<?x11xf32>
      return %y : tensor<?x11xf32>
    }
    ```
    becomes, where after `exec-form-dispatches` there was one weight in rows,
    ```mlir
    exec.program
      %w = exec.weight "w" @w packing <rows> : memref<11x5xf32>
      %p = exec.weight "w.panels..." @w packing <panels = ...> : memref<1x5x...xf32>
      exec.dispatch "embed" lookup ... (%tokens, %w, ... grid = ..., config = <"rows", ...>>]
      exec.dispatch "lm_head" gemm ... (%x, %p, ... grid = ..., config = <"gemm", ...>>]
    module @kernels
      func.func @gemm_n11_k5_f32(... {exec.packing = ... attributes {exec.config = #exec.config<"gemm", ...
    ```
  }];
  let options = [
    Option<"target", "target", "std::string", "\"cpu\"", "Target: cpu or nvptx">,
    Option<"tuning", "tuning", "std::string", "\"\"",
           "File of `coppice tune` with what was measured to be best on this machine; empty: the cost model chooses">];
  let dependentDialects = ["::coppice::exec::ExecDialect"];
}

def ExecPlanMemory : Pass<"exec-plan-memory", "::mlir::ModuleOp"> {
  let summary = "Give buffers their places in the arena";
  let description = [{
    Buffers whose sizes are multiples of the same product of symbols (`rows`,
    `head_rows`, `rows * context`, ..) share a region of the arena; within it,
    each gets an offset in multiples of that product, so that two buffers that
    live at the same time are disjoint for every value of the symbols. Placed
    largest first, at the lowest gap that is free during the buffer's life: from
    its first write to its last use, the ends included, so that no kernel writes
    over its own input. Outputs live to the end of the step.

    Offsets are multiples of 64 bytes and are evaluated at a session's capacities.

    ```mlir
    // --exec-form-dispatches=max-context=33 --exec-plan-memory
    ml_program.global private @w(#ml_program.extern : tensor<11x5xf32>) : tensor<11x5xf32>
    func.func @forward(%tokens: tensor<?xi32> {decoder.step = "tokens"}) -> tensor<?x11xf32> {
      %w = ml_program.global_load_const @w : tensor<11x5xf32>
      %x = decoder.lookup "embed" %tokens in %w : tensor<?xi32>, tensor<11x5xf32> -> tensor<?x5xf32>
      %y = prune.gemm "lm_head" %x, %w : tensor<?x5xf32>, tensor<11x5xf32> -> tensor<?x11xf32>
      return %y : tensor<?x11xf32>
    }
    ```
    becomes, where after `exec-form-dispatches` no buffer had an offset,
    ```mlir
    #map = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0 * 128)>   // s0: rows
    #map1 = affine_map<()[s0, s1, s2, s3, s4, s5] -> (0)>
    #map2 = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0 * 64)>
    exec.program @forward ... arena #map {
      exec.buffer ["rows", 5] offset #map1
      exec.buffer ["rows", 11] offset #map2
    ```
  }];
  let dependentDialects = ["::coppice::exec::ExecDialect"];
}

#endif // COPPICE_SCHEDULE_PASSES_TD
