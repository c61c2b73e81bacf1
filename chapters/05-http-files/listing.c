#define _GNU_SOURCE /* scandirat(3) */
#include "listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "path.h"
#include "slice.h"

/* Writes TEXT to PAGE for people to read: whatever is in it, none of it is taken for HTML. */
static void print_escaped(FILE *page, const char *text)
{
    for (; *text != '\0'; text++) {
        /* BEGIN SOLUTION */
        if (is_one_of(*text, "&<>\"'")) {
            fprintf(page, "&#%d;", *text);
            continue;
        }
        /* END SOLUTION */
        /* STARTER: // a file may be called <script> */
        fputc(*text, page);
    }
}

/* For scandirat(3): takes what is not hidden, and sorts names by their bytes. */
static int is_listed(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int by_name(const struct dirent **one, const struct dirent **other)
{
    return strcmp((*one)->d_name, (*other)->d_name);
}

/* Is ENTRY of DIRECTORY one itself? Not every file system says so beside the name (readdir(3)). */
static bool is_directory(int directory, const struct dirent *entry)
{
    struct stat status;
    if (entry->d_type != DT_UNKNOWN) {
        return entry->d_type == DT_DIR;
    }
    return fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

/* Writes the page that lists ENTRIES, COUNT of them, of DIRECTORY, which is at PATH. */
static void print_listing(FILE *page, int directory, const char *path, struct dirent *const *entries,
                          int count)
{
    /* BEGIN SOLUTION */
    char encoded[URL_ROOM];
    fputs("<!doctype html>\n<meta charset=\"utf-8\">\n<title>/", page);
    print_escaped(page, path);
    fputs("</title>\n<ul>\n", page);
    for (int i = 0; i < count; i++) {
        const char *slash = is_directory(directory, entries[i]) ? "/" : "";
        fprintf(page, "<li><a href=\"%s%s\">", url_encode(entries[i]->d_name, encoded), slash);
        print_escaped(page, entries[i]->d_name);
        fprintf(page, "%s</a>\n", slash);
    }
    fputs("</ul>\n", page);
    /* END SOLUTION */
    /* STARTER:
    char encoded[URL_ROOM]; // <a href="NAME">NAME</a>: two languages, two kinds of escapes
    for (int i = 0; i < count; i++) {
        fputs(url_encode(entries[i]->d_name, encoded), page);
        print_escaped(page, is_directory(directory, entries[i]) ? "/" : path);
    }
    */
}

int listing_make(int directory, const char *path, char **text, size_t *length)
{
    struct dirent **entries = NULL;
    const int count = scandirat(directory, ".", &entries, is_listed, by_name);
    if (count < 0) {
        return -errno;
    }
    int result = 0;
    FILE *page = open_memstream(text, length);
    if (page == NULL) {
        result = -errno;
        goto free_entries;
    }
    print_listing(page, directory, path, entries, count);
    if (fclose(page) != 0) {
        result = -ENOMEM; /* nothing else can go wrong in memory */
        free(*text);
    }
free_entries:
    for (int i = 0; i < count; i++) {
        free(entries[i]);
    }
    free(entries);
    return result;
}
