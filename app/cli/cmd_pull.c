/* fovea pull: a model from a hub into the cache that other programs share.
 *
 * Starts the program fovea-pull, which lies beside this one, and hands it all words on: libcurl brings some twenty libraries
 * along, and every other command would wait for them (docs/decisions.md has the figures). */
#include "cli/pull.h"

#define AT(field) CLI_FIELD(cli_pull_args, field)

static const cli_option operands[] = {
    {"NAME", NULL, "the model's name on the hub: ORG/NAME", AT(name), .needed = true},
};

static const cli_option options[] = {
    {"revision", "REVISION", "a branch, a tag or a commit", AT(revision)},
    {"out", "DIR", "make a folder of real files, too: all of it or nothing; refused if it holds anything else", AT(out)},
};

static void init(void *user)
{
    cli_pull_args *args = user;
    args->revision = "main";
}

static fv_status run(void *user, fv_err *err)
{
    const cli_pull_args *args = user;
    return cli_become("-pull", &args->common, err);
}

static const char *const examples[] = {
    "fovea pull sentence-transformers/all-MiniLM-L6-v2",
    "echo '我的包裹还没到' | fovea embed sentence-transformers/all-MiniLM-L6-v2",
    "fovea pull cross-encoder/ms-marco-MiniLM-L6-v2 --out models/reranker",
    "HF_ENDPOINT=http://127.0.0.1:9000 fovea pull shop/banking --revision v2",
    NULL,
};

const cli_command cli_pull = {
    .name = "pull",
    .says = "fetches a model from a hub, once, for use without a network",
    .text = "Fetches what Fovea can load of a model: its configuration, its tokenizer, its weights as safetensors. Prints the folder that "
            "it then lies in. From then on its name stands for that folder wherever a MODEL is asked for, without a network; NAME@REVISION for "
            "another revision. A folder of your own of the same name goes first.\n\n"
            "Each file's hash is compared with the hub's list before it gets its name. What was interrupted goes on where it stopped; what is "
            "there is not fetched again. The cache is the one of huggingface_hub, so that other programs find the files, and theirs are found. With --out the files are copied to a folder of "
            "your own as well, and compared with their hashes once more; that folder is then what is printed.\n\n"
            "  HF_ENDPOINT      the hub's address (https://huggingface.co)\n"
            "  HF_TOKEN         a token for models that need one, else what is in HF_HOME/token; it is sent to the hub alone\n"
            "  HF_HOME          where cache and token are (~/.cache/huggingface); HF_HUB_CACHE: the cache alone\n"
            "  HF_HUB_OFFLINE   1: no network; says where the model lies, if it does",
    .examples = examples,
    .operands = operands, .n_operands = FV_COUNT(operands),
    .options = options, .n_options = FV_COUNT(options),
    .args_size = sizeof(cli_pull_args),
    .init = init,
    .run = run,
};
