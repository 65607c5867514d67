/* SPDX-License-Identifier: MIT
 *
 * Runs a fuzz target over the files of folders, without libFuzzer: `fuzz_event tests/fuzz/corpus/event ...`. Each file is
 * given whole, and cut to every shorter length when it is short. Prints "N passed, 0 failed"; what fails ends the run,
 * after its name was printed. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_MAX  (1 << 16)
#define CUTS_MAX  512
#define CUT_STEPS 64 /* of a longer file */

static int passed;
static long runs;

/* Exactly as many bytes as the input has, so that a read beyond its end is seen. */
static void run_bytes(const uint8_t *bytes, size_t len)
{
    uint8_t *exact = malloc(len ? len : 1);
    if (!exact)
        exit(70);
    memcpy(exact, bytes, len);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    runs++;
}

static int run_file(const char *path)
{
    static uint8_t bytes[FILE_MAX];
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return -1;
    }
    size_t len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    printf("%s\n", path);
    fflush(stdout);
    run_bytes(bytes, len);
    for (size_t cut = 0, step = len <= CUTS_MAX ? 1 : len / CUT_STEPS; cut < len; cut += step)
        run_bytes(bytes, cut);
    passed++;
    return 0;
}

static int run_folder(const char *folder)
{
    struct dirent **names = NULL;
    int count = scandir(folder, &names, NULL, alphasort), bad = count < 0;
    if (bad)
        perror(folder);
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        if (names[i]->d_name[0] != '.')
            bad |= run_file(path) != 0;
        free(names[i]);
    }
    free(names);
    return bad;
}

int main(int argc, char **argv)
{
    int bad = argc < 2;
    for (int i = 1; i < argc; i++)
        bad |= run_folder(argv[i]);
    printf("%ld runs\n%d passed, %d failed\n", runs, passed, bad || passed == 0);
    return bad || passed == 0;
}
