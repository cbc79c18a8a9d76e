#include "base/base64.h"

#include "base/random.h"
#include "tests/test.h"

/* RFC 4648 s.10 */
static const char *const vectors[][2] = {{"", ""},
                                         {"f", "Zg=="},
                                         {"fo", "Zm8="},
                                         {"foo", "Zm9v"},
                                         {"foob", "Zm9vYg=="},
                                         {"fooba", "Zm9vYmE="},
                                         {"foobar", "Zm9vYmFy"}};

TEST(the_vectors_of_the_rfc_are_encoded_and_decoded)
{
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct text text = {0}, back = {0};
        base64_encode(&text, bytes_from_string(vectors[i][0]));
        expect_string(text_string(&text), vectors[i][1]);
        expect_true(base64_decode(&back, text_bytes(&text)));
        expect_string(text_string(&back), vectors[i][0]);
        text_reset(&text);
        text_reset(&back);
    }
}

TEST(what_was_encoded_is_decoded_to_the_same)
{
    struct random random;
    random_init(&random, test_seed());
    for (size_t size = 0; size < 200; size++) {
        uint8_t bytes[200];
        struct text text = {0}, back = {0};
        random_fill(&random, bytes, size);
        base64_encode(&text, bytes_of(bytes, size));
        expect_true(base64_decode(&back, text_bytes(&text)));
        expect_bytes(text_bytes(&back), bytes_of(bytes, size));
        text_reset(&text);
        text_reset(&back);
    }
}

TEST(what_is_no_base64_is_refused)
{
    static const char *const wrong[] = {
        "Z", "Zg=", "Z===", "====", "Zg==Zg==", "Z!==", "Zm 9", "=mAB"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct text out = {0};
        expect_false(base64_decode(&out, bytes_from_string(wrong[i])));
        text_reset(&out);
    }
}
