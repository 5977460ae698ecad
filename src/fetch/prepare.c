/* What a process does before it confines itself, so that it can fetch afterwards. */
#include <curl/curl.h>
#include <errno.h>
#include <nss.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fetch/fetch.h"
#include "fetch/fetch_priv.h"

#include "base/poison.h"

enum { HTTPS_PORT = 443, TRUST_PATHS_MAX = 6 };

bool fetch_prepare(const char *cache, struct err *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ERR_INTERNAL, "libcurl cannot be used");
    /* Both are part of the C library. */
    if (__nss_configure_lookup("hosts", "files dns") != 0)
        return err_system(err, ERR_INTERNAL, errno, "name services");
    if (cache && !cache_make(cache))
        return err_system(err, ERR_CONFIG, errno, "%s", cache);
    return true;
}

const char *const *fetch_trust_paths(void)
{
    static const char *paths[TRUST_PATHS_MAX + 1];
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    size_t n = 0;

    if (curl->cainfo)
        paths[n++] = curl->cainfo;
    if (curl->capath)
        paths[n++] = curl->capath;
    paths[n++] = "/etc/ssl/certs"; /* where the file is replaced; and where its links lead to */
    paths[n++] = "/usr/share/ca-certificates";
    paths[n++] = "/usr/local/share/ca-certificates";
    paths[n] = NULL;
    return paths;
}

static bool has_proxy(void)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);

        if (value && *value)
            return true;
    }
    return false;
}

/* That of the service, and Intel's own, where the CRL of the root lies. */
size_t fetch_ports(const char *url, uint16_t out[static FETCH_PORTS_MAX])
{
    CURLU *parsed = has_proxy() ? NULL : curl_url();
    char *port = NULL;
    size_t n = 0;

    if (parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK) {
        out[n++] = (uint16_t)strtoul(port, NULL, 10);
        out[n++] = HTTPS_PORT;
    }
    curl_free(port);
    curl_url_cleanup(parsed);
    return n;
}
