#include "ati/exec/exec.h"

#include "base/poison.h"

const char *exec_media_type(struct view path)
{
    static const struct {
        struct view extension;
        const char *type;
    } types[] = {
        {VIEW("json"), "application/json"}, {VIEW("pdf"), "application/pdf"},
        {VIEW("xml"), "application/xml"},   {VIEW("zip"), "application/zip"},
        {VIEW("txt"), "text/plain"},        {VIEW("log"), "text/plain"},
        {VIEW("csv"), "text/csv"},          {VIEW("html"), "text/html"},
        {VIEW("htm"), "text/html"},         {VIEW("md"), "text/markdown"},
        {VIEW("png"), "image/png"},         {VIEW("jpg"), "image/jpeg"},
        {VIEW("jpeg"), "image/jpeg"},       {VIEW("gif"), "image/gif"},
        {VIEW("webp"), "image/webp"},       {VIEW("svg"), "image/svg+xml"},
        {VIEW("mp4"), "video/mp4"},         {VIEW("webm"), "video/webm"},
        {VIEW("m4v"), "video/mp4"},         {VIEW("oga"), "audio/ogg"},
        {VIEW("mov"), "video/quicktime"},   {VIEW("mp3"), "audio/mpeg"},
        {VIEW("wav"), "audio/wav"},         {VIEW("ogg"), "audio/ogg"},
        {VIEW("flac"), "audio/flac"},       {VIEW("m4a"), "audio/mp4"},
    };
    size_t dot = view_find_last(path, '.');

    for (size_t i = 0; dot < path.len && i < sizeof types / sizeof *types; i++)
        if (view_eq_nocase(view_skip(path, dot + 1), types[i].extension))
            return types[i].type;
    return "application/octet-stream";
}
