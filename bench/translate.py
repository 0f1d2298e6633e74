# The peer of bench/translate.c: CTranslate2 on the same model and texts, for bench/translate-peers.
#
#   translate.py MODEL TEXTS.txt CONVERTED THREADS [OUT.txt]      translations to OUT
#
# MODEL is a Marian folder; CONVERTED is where its int8 form is put, by CTranslate2's own converter. Pieces are made
# before the clock starts. Prints a JSON line for each arrangement: one batch on all threads, a batch on each.
import json
import os
import sys
import time

model, texts, converted, threads = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
os.environ["OMP_NUM_THREADS"] = str(threads)
os.environ["HF_HUB_OFFLINE"] = "1"
import ctranslate2  # noqa: E402  it reads its environment when it is loaded
import sentencepiece  # noqa: E402
from ctranslate2.converters import transformers as converters  # noqa: E402

BATCH, BEAM = 32, 4


class Loader(converters.MarianMTLoader):
    """Marian's own models begin a text with a row of zeros, which the converter knows; ours with <pad>'s row, as
    Transformers has it. Without this the peer would write other texts than we do."""

    def set_decoder(self, spec, decoder):
        converters.BartLoader.set_decoder(self, spec, decoder)

    def _remove_pad_weights(self, spec):
        pass

    def get_vocabulary(self, model, tokenizer):
        return converters.BartLoader.get_vocabulary(self, model, tokenizer)

    def set_config(self, config, model, tokenizer):
        super().set_config(config, model, tokenizer)
        config.decoder_start_token = "<pad>"


converters._MODEL_LOADERS["MarianConfig"] = Loader()
converters.TransformersConverter(model).convert(converted, quantization="int8", force=True)
pieces = sentencepiece.SentencePieceProcessor(model_file=os.path.join(model, "source.spm"))
with open(texts, encoding="utf-8", newline="\n") as file:
    sources = [pieces.encode(line, out_type=str) + ["</s>"] for line in file.read().split("\n")[:-1]]
for workers in sorted({1, threads}):
    translator = ctranslate2.Translator(converted, device="cpu", compute_type="int8", inter_threads=workers, intra_threads=threads // workers)
    translator.translate_batch(sources[:BATCH * workers], beam_size=BEAM, max_batch_size=BATCH, suppress_sequences=[["<pad>"]])
    start = time.perf_counter()
    out = translator.translate_batch(sources, beam_size=BEAM, max_batch_size=BATCH, suppress_sequences=[["<pad>"]])
    seconds = time.perf_counter() - start
    tokens = sum(len(o.hypotheses[0]) for o in out)
    if len(sys.argv) > 5:
        with open(sys.argv[5], "w", encoding="utf-8") as file:
            file.write("".join("".join(o.hypotheses[0]).replace("\u2581", " ").strip() + "\n" for o in out))
    print(json.dumps({"texts_per_s": round(len(sources) / seconds, 3), "texts": len(sources), "tokens": tokens, "workers": workers}, separators=(",", ":")), flush=True)
