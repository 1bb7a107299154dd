#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# On OpenSSL 3.0 one Ed25519 key on a PKCS#11 token keeps the engine of libp11 0.4.12 from finding the token's other
# keys: an RSA key that loads goes on loading only until an Ed25519 key stands beside it.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

fetch bookworm softhsm2=2.6.1-2.1 libengine-pkcs11-openssl=0.4.12-0.1 opensc=0.23.0-0.3+deb12u2 openssl=3.0.22-1~deb12u2
programs softhsm2-util pkcs11-tool openssl
cd "$work"
mkdir tokens
echo "directories.tokendir = $work/tokens" >softhsm.conf
export SOFTHSM2_CONF=$work/softhsm.conf
module=$(find "$root" -name libsofthsm2.so -print -quit)
OPENSSL_ENGINES=$(dirname "$(find "$root" -name pkcs11.so -path '*engines*' -print -quit)")
export OPENSSL_ENGINES PKCS11_MODULE_PATH=$module
softhsm2-util --module "$module" --init-token --free --label t --pin 1234 --so-pin 1234 >said 2>&1

make_key() # type, id, label
{
	pkcs11-tool --module "$module" --login --pin 1234 --keypairgen --key-type "$1" --id "$2" --label "$3" >said 2>&1
}

loads() # label
{
	yes_no openssl pkey -engine pkcs11 -inform engine -in "pkcs11:token=t;object=$1;type=private?pin-value=1234" -noout
}

make_key rsa:2048 01 first
expect "the RSA key loads" yes "$(loads first)"
make_key EC:edwards25519 02 second
expect "the RSA key loads beside an Ed25519 key" no "$(loads first)"
finish
