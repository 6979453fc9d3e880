package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestConfig_TrustedProxiesAreAddressesAndRanges(t *testing.T) {
	t.Parallel()
	c, err := loadConfig([]string{"SWINGBRIDGE_TRUSTED_PROXIES=10.1.2.3/8, 192.0.2.1,2001:db8::/32"})
	if got := fmt.Sprint(c.trusted); err != nil || got != "[10.0.0.0/8 192.0.2.1/32 2001:db8::/32]" {
		t.Errorf("%s, %v", got, err)
	}
	if c, err := loadConfig(nil); err != nil || len(c.trusted) > 0 || !c.HTTP3 {
		t.Errorf("by default %v, HTTP/3 %t, %v", c.trusted, c.HTTP3, err)
	}
}

func TestConfig_SaysWhichSettingOfTheFrontIsWrong(t *testing.T) {
	t.Parallel()
	for setting, says := range map[string]string{
		"SWINGBRIDGE_TRUSTED_PROXIES=10.0.0.0/8,cdn.example":                   `SWINGBRIDGE_TRUSTED_PROXIES "cdn.example"`,
		"SWINGBRIDGE_HTTP3=perhaps":                                            `SWINGBRIDGE_HTTP3 "perhaps": not a bool`,
		"SWINGBRIDGE_ACME_CA=ca.example":                                       "SWINGBRIDGE_ACME_CA",
		"SWINGBRIDGE_ACME_CA=https://ca.example SWINGBRIDGE_TLS_INTERNAL=true": "both set",
		"SWINGBRIDGE_CERTIFICATES=/nowhere":                                    "SWINGBRIDGE_CERTIFICATES",
		"SWINGBRIDGE_ACME_ROOTS=/nowhere/roots.pem":                            "SWINGBRIDGE_ACME_ROOTS",
	} {
		if _, err := loadConfig(strings.Fields(setting)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", setting, err, says)
		}
	}
}
