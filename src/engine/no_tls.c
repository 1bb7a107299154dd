/* SPDX-License-Identifier: Apache-2.0 */
#include <gnutls/gnutls.h>

/*
 * libmicrohttpd calls this as soon as it is loaded. This daemon answers on a UNIX socket alone, so it stands
 * in its place; with TLS here it has to go, and io/http/no_gnutls.c with it.
 */
int gnutls_global_init(void)
{
	return GNUTLS_E_SUCCESS;
}
