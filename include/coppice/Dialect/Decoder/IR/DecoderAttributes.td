#ifndef COPPICE_DIALECT_DECODER_IR_DECODERATTRIBUTES_TD
#define COPPICE_DIALECT_DECODER_IR_DECODERATTRIBUTES_TD

include "coppice/Dialect/Decoder/IR/DecoderDialect.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"

class Decoder_Attr<string cppName, string keyword> : AttrDef<Decoder_Dialect, cppName> {
  let mnemonic = keyword;
  let genVerifyDecl = 1;
}

/// A string that is left out when empty.
class Decoder_OptionalString<string desc> : StringRefParameter<desc, [{""}]>;
class Decoder_Bool<string desc> : AttrOrTypeParameter<"bool", desc> {
  let printer = [{$_printer << ($_self ? "true" : "false")}];
}
/// An f64 that is printed without its type.
class Decoder_Double<string desc> : AttrOrTypeParameter<"::mlir::FloatAttr", desc> {
  let parser = "::coppice::decoder::detail::parseDouble($_parser)";
  let printer = "$_printer.printAttributeWithoutType($_self)";
}

def Decoder_ModelAttr : Decoder_Attr<"Model", "model"> {
  let summary = "what the model of a module is";
  let description = [{
    Sizes are those of the model as it was imported; pruning never changes them. Where
    layers differ, they are those of the widest attention and of the widest MLP.
    `weights` is the path of the safetensors file relative to the `.mlir` file, and
    is left out where every weight is generated. `dtype` is the storage type of the
    weights. `bos = -1` says that the model has no such token.

    ```mlir
    module @tiny attributes {decoder.model = #decoder.model<
        name = "tiny", family = "llama", vocabulary = 512, hidden = 64, layers = 5,
        heads = 8, kv_heads = 4, head_dim = 8, intermediate = 172, context_length = 512,
        dtype = f32, tied = true, bos = 1, eos = [2], parameters = 259456,
        weights = "tiny.safetensors">} {}
    ```
  }];
  let parameters = (ins
    StringRefParameter<"name of the model">:$name,
    StringRefParameter<"architecture, as in `llama`">:$family,
    "int64_t":$vocabulary, "int64_t":$hidden, "int64_t":$layers, "int64_t":$heads,
    "int64_t":$kv_heads, "int64_t":$head_dim, "int64_t":$intermediate,
    "int64_t":$context_length, "::mlir::Type":$dtype,
    Decoder_Bool<"whether the head is the embedding table">:$tied,
    "int64_t":$bos, "::mlir::DenseI64ArrayAttr":$eos, "int64_t":$parameters,
    Decoder_OptionalString<"path of the weights, relative to the module's file">:$weights,
    Decoder_OptionalString<"SHA-256 of the weight file, 64 hex digits">:$weights_sha256,
    Decoder_OptionalString<"SHA-256 of what was imported, 64 hex digits">:$source_sha256,
    Decoder_OptionalString<"path of the tokenizer, relative to the module's file">:$tokenizer);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Decoder_FileAttr : Decoder_Attr<"File", "file"> {
  let summary = "a weight that is a tensor of a safetensors file";
  let description = [{
    `path` is relative to the file of the module, `key` is the tensor's name:
    `#decoder.file<"tiny.safetensors", "model.embed_tokens.weight">`. The weight is
    the whole tensor, or those of its rows that `rows` has the first and the end of:
    `#decoder.file<"phi.safetensors", "model.layers.0.mlp.gate_up_proj.weight", rows = [53, 106]>`.
  }];
  let parameters = (ins StringRefParameter<"path, relative to the module's file">:$path,
                        StringRefParameter<"name of the tensor">:$key,
                        OptionalParameter<"::mlir::DenseI64ArrayAttr", "first row and end">:$rows);
  let assemblyFormat = "`<` $path `,` $key (`,` `rows` `=` $rows^)? `>`";
}

def Decoder_GeneratedAttr : Decoder_Attr<"Generated", "generated"> {
  let summary = "a weight that is generated from a seed";
  let description = [{
    Uniformly distributed elements that are a function of (`seed`, `name`, index)
    alone: whoever needs a part of the weight can make that part.
    `#decoder.generated<seed = 7, name = "embed", stddev = 0.02, mean = 0.0>`.
  }];
  let parameters = (ins "uint64_t":$seed, StringRefParameter<"name of the stream">:$name,
                        Decoder_Double<"standard deviation">:$stddev,
                        Decoder_Double<"mean">:$mean);
  let assemblyFormat = "`<` struct(params) `>`";
  let builders = [AttrBuilder<(ins "uint64_t":$seed, "::llvm::StringRef":$name,
                                   "double":$stddev, "double":$mean)>];
}

/// An f64 that is left out where there is none.
class Decoder_OptionalDouble<string desc> : Decoder_Double<desc> {
  let defaultValue = [{::mlir::FloatAttr()}];
}

def Decoder_RopeAttr : Decoder_Attr<"Rope", "rope"> {
  let summary = "what the frequencies of the rotary embedding were made from";
  let description = [{
    A step has the frequencies themselves (`decoder.rotary_table`); this is what a
    configuration says instead: the base, and the kind of scaling with its numbers,
    `linear` (`factor`) or `llama3` (all of them). Whoever exports a model checks
    that the one gives the other.

    `#decoder.rope<theta = 1.0e4>`,
    `#decoder.rope<theta = 5.0e5, scaling = "llama3", factor = 8.0,
    low_freq_factor = 1.0, high_freq_factor = 4.0, original_context = 8192>`.
  }];
  let parameters = (ins Decoder_Double<"base of the frequencies">:$theta,
                        Decoder_OptionalString<"kind of scaling">:$scaling,
                        Decoder_OptionalDouble<"how far waves are stretched">:$factor,
                        Decoder_OptionalDouble<"turns below which a wave is stretched">:$low_freq_factor,
                        Decoder_OptionalDouble<"turns above which it is not">:$high_freq_factor,
                        DefaultValuedParameter<"int64_t", "0">:$original_context);
  let assemblyFormat = "`<` struct(params) `>`";
}

#endif // COPPICE_DIALECT_DECODER_IR_DECODERATTRIBUTES_TD
