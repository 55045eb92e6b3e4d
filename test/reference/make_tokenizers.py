#!/usr/bin/env python3
"""make_tokenizers.py FOLDER: trains small tokenizers in the styles of Llama 3, Qwen, Llama 2, Mistral and GPT-2 on the text below, writes them as
NAME.json, and what the reference, the `tokenizers` package, makes of tricky texts as encodings.json.

Made test/runtime/tokenizer/Inputs; not run by the tests. Needs the packages `tokenizers` (0.23.3) and nothing else."""
import json
import os
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXT = [
    "The willow by the river was cut back in winter, and in spring it grew a hundred new shoots.",
    "They're saying it's theirs, I'm sure you'll see what we've done; he'd agree. DON'T SHOUT, IT'S FINE, THEY'LL HEAR US.",
    "Coppicing keeps a tree young: every 7 to 15 years the stems are cut, 1234567 of them in 2023, 3.14159 metres apart.",
    "    def prune(tree, share=0.5):\n        return [shoot for shoot in tree if shoot.age < share * 100]\n\n\n",
    "\tint main() {\r\n\t\tfor (int i = 0; i < 10; ++i)\r\n\t\t\tprintf(\"%d\\n\", i);\r\n\t}\r\n",
    "Der Förster sägt die Äste im Winter ab; größere Bäume läßt er stehen. Übermäßig schön!",
    "L'été, l'élève naïf a coupé l'arbre près de la forêt, où ça pousse déjà. Où êtes-vous, François ?",
    "В лесу росла ива, и каждую зиму её подрезали. Весной она снова зеленела.",
    "森の木を冬に切ると、春に新しい芽が出る。木は何度でも生き返る。",
    "冬天砍树，春天发芽。树木越砍越旺，森林越来越密。",
    "숲의 나무를 겨울에 자르면 봄에 새싹이 난다.",
    "पेड़ को सर्दियों में काटते हैं और वसंत में नई शाखाएँ निकलती हैं।",
    "السلام عليكم، الشجرة تنمو في الربيع ٢٠٢٣.",
    "Emoji grow too: 🌳🌲🌱 👩‍🌾 👨‍👩‍👧‍👦 🏳️‍🌈 ❤️ 🇩🇪🇫🇷 ✂️",
    "E-mail: forester@example.org, https://example.org/trees?id=42&cut=yes#top  (see §3.2) -- 50% off!!! ... ok???",
] * 4

# Every text is a hazard of its own.
TRICKY = [
    "", " ", "  ", "   ", "\n", "\n\n", " \n", "\n ", "\t", "\r\n", " \t\r\n \n  x", "a", " a", "  a", "a ", "a  ", "a  b", "a   b\n\n c",
    "Hello, world!", " Hello  world  ", "The willow by the river", "the\u00a0river\u00a0 x", "x\u2003y\u2028z\u3000w\u0085v\u180eu\u200bt\u1680s",
    "it's IT'S It'S it\u2019s they'Re we'VE I'M you'lL he'D 'tis 'S 's''s can't'", "x'\u017f y'\u017fz", "'\u212a", "don't  DON'T",
    "0", "12", "123", "1234", "1234567890", "3.14159", "a1b22c333d4444", "٢٠٢٣ ½ ²³ Ⅻ ௧௨௩௪ 一二三", "1 2  3   4", "-1,234.5e+67%",
    "Förster größere ÜBER", "e\u0301te\u0301 cafe\u0301", "A\u030angstro\u0308m \u212b \u1e9b\u0323 q\u0307\u0323", "\u0301alone", "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "o\u0323\u0302\u0301\u0328", "\u0958\u0915\u093c", "ﬁne ﬂow ß ẞ İ ı ŉ", "森の木を冬に切る", "冬天砍树 春天发芽", "숲의 나무", "पेड़ को सर्दियों",
    "السلام عليكم", "В лесу росла ива", "שלום", "สวัสดี", "👩‍🌾", "👨‍👩‍👧‍👦!", "🏳️‍🌈🇩🇪", "❤️ ❤", "👍🏽👍", "🌳x🌲 🌱", "\U0001f9d1\u200d\U0001f680",
    "\U00010348\U0001d54f\U0001d7d8\U00020000\U000e0041", "\ufffd\ufeffx\ufffe", "\x00\x01\x7f", "\u2581", "a\u2581b \u2581 c", " \u2581", "Ġ Ċ ĉ Ġword", "<0x41><0x0A>",
    "tree\n    def prune(tree):\n\treturn  tree\r\n\r\n", "!!!...???", "  !!!\n\n", "a/b\\c|d~e`f^g_h", "x_1__y", "https://example.org/trees?id=42", "(\")[]{}<>\n)",
    "<s>", "</s>", "<unk>", "a<s>b</s> c", "<|begin_of_text|>", "x<|begin_of_text|> y<|eot_id|>\n", "<|im_start|>user\nHello<|im_end|>\n", "<|im_start|", "<|endoftext|><|endoftext|>",
    "<think>\nit grows\n</think>\n\n", "[INST] cut it [/INST]", "x  [INST]  y", "\u00a0[INST]\n\n z", "[INST][INST] [INST]", "<|pad|>  <|pad|>", "wood wood_chips", "woodcutter", "Åkerbär A\u030akerba\u0308r xÅkerbärx",
    "shoots shoots shoots", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", " " * 40 + "x", "\n" * 20, "x" + " " * 300 + "y", "ab" * 300 + " " + "9" * 301,
]

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def byte_level(pre_tokenizer, size, normalizer=None):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        TEXT, trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return tokenizer


def split(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def special(*names, **flags):
    return [AddedToken(name, special=True, normalized=False, **flags) for name in names]


def llama3():
    data = json.loads(byte_level(split(LLAMA3), 640).to_str())
    # Whole pieces that no merges lead to: what ignore_merges is for.
    data["model"]["ignore_merges"] = True
    for word in ["Ġwoodcutter", "woodcutter", "Ġworld", "ĊĊĊ"]:
        data["model"]["vocab"][word] = len(data["model"]["vocab"])
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.add_tokens(special("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|pad|>"))
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|> $B:1",
                                      special_tokens=[("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))])])
    return json.loads(tokenizer.to_str())


def qwen():
    tokenizer = byte_level(split(QWEN), 640, normalizers.NFC())
    tokenizer.add_tokens(special("<|endoftext|>", "<|im_start|>", "<|im_end|>"))
    # As Qwen's <think>: no control tokens, parsed in any text.
    tokenizer.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False), AddedToken("A\u030akerba\u0308r", normalized=True)])
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False)
    data = json.loads(tokenizer.to_str())
    data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]  # the form of older files
    return data


def gpt2():
    tokenizer = byte_level(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]), 480)
    tokenizer.add_tokens(special("<|endoftext|>"))
    return json.loads(tokenizer.to_str())


def sentencepiece(size, controls):
    """Characters, with bytes for those that are rare."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    names = controls + ["<0x%02X>" % byte for byte in range(256)]
    tokenizer.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=size, special_tokens=names, limit_alphabet=150, show_progress=False))
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = data["added_tokens"][:len(controls)]
    data["pre_tokenizer"] = None
    data["decoder"] = {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    data["post_processor"] = {
        "type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
    return data


def llama2():
    data = sentencepiece(900, ["<unk>", "<s>", "</s>"])
    data["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
    data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]
    return data


def mistral():
    data = sentencepiece(900, ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "<|pad|>"])
    data["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    # As Phi 3 has them: what stands beside is taken along.
    data["added_tokens"][3]["rstrip"] = True
    data["added_tokens"][5]["lstrip"] = data["added_tokens"][5]["rstrip"] = True
    return data


def main():
    folder = sys.argv[1]
    encodings = {"texts": TRICKY}
    for name, make in {"llama3": llama3, "qwen": qwen, "llama2": llama2, "mistral": mistral, "gpt2": gpt2}.items():
        path = os.path.join(folder, name + ".json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(make(), file, ensure_ascii=False, separators=(",", ":"))
            file.write("\n")
        tokenizer = Tokenizer.from_file(path)
        recorded = encodings[name] = {"size": tokenizer.get_vocab_size()}
        for key, as_text in [("as_text", True), ("parsed", False)]:
            tokenizer.encode_special_tokens = as_text
            ids = [tokenizer.encode(text).ids for text in TRICKY]
            recorded[key] = [{"ids": i, "text": tokenizer.decode(i)} for i in ids]
        # Most texts name no special token.
        recorded["parsed"] = [None if a == b else b for a, b in zip(recorded["as_text"], recorded["parsed"])]
    with open(os.path.join(folder, "encodings.json"), "w", encoding="ascii") as file:
        json.dump(encodings, file, separators=(",", ":"))
        file.write("\n")


main()
