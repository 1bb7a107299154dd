/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl and libmicrohttpd bring GnuTLS along, and that sets itself up as soon as it is loaded: 0.9 MB of
 * memory in a process that never uses it. This is its own way (GNUTLS_SKIP_GLOBAL_INIT) to say that whoever
 * wants it will call gnutls_global_init().
 */
int _gnutls_global_init_skip(void); /* NOLINT(bugprone-reserved-identifier): its name for it */
int _gnutls_global_init_skip(void)  /* NOLINT(bugprone-reserved-identifier) */
{
	return 1;
}
