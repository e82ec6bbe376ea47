using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace SplitFrozen.Contracts.Security;

/// <summary>
/// Whom a connection over TLS believes: the authorities of this machine, or, where some are named, those alone. The name in a
/// server's certificate is always compared with the one that was dialled.
/// </summary>
public sealed class CertificateTrust
{
    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";

    private readonly X509Certificate2Collection? _authorities;

    private CertificateTrust(X509Certificate2Collection? authorities, string? pem) => (_authorities, Pem) = (authorities, pem);

    /// <summary>The authorities of this machine.</summary>
    public static CertificateTrust OfMachine { get; } = new(null, null);

    /// <summary>The authorities as PEM text; null for those of this machine.</summary>
    public string? Pem { get; }

    /// <summary>Only the authorities of a PEM text.</summary>
    /// <param name="pem">One certificate or several.</param>
    /// <param name="source">Where the text came from, for the message of a fault.</param>
    /// <exception cref="FormatException">The text holds no certificate.</exception>
    public static CertificateTrust OfPem(string pem, string source)
    {
        ArgumentNullException.ThrowIfNull(pem);
        var authorities = new X509Certificate2Collection();
        try
        {
            authorities.ImportFromPem(pem);
        }
        catch (CryptographicException exception)
        {
            throw new FormatException($"{source}: a certificate in it cannot be read: {exception.Message}", exception);
        }

        return authorities.Count > 0
            ? new CertificateTrust(authorities, pem)
            : throw new FormatException($"{source}: there is no certificate in it; expected PEM, '-----BEGIN CERTIFICATE-----' and so on.");
    }

    /// <summary>Only the authorities of a PEM file; those of this machine where no file is named.</summary>
    /// <param name="path">The file; null or empty for none.</param>
    /// <exception cref="FormatException">The file is not there or holds no certificate.</exception>
    public static CertificateTrust OfFile(string? path)
    {
        if (string.IsNullOrEmpty(path))
        {
            return OfMachine;
        }

        try
        {
            return OfPem(File.ReadAllText(path), path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new FormatException($"{path}: the certificates of the authority cannot be read: {exception.Message}", exception);
        }
    }

    /// <summary>How a server's certificate is checked, for clients that take that; null for the way of this machine.</summary>
    public X509ChainPolicy? ChainPolicy
    {
        get
        {
            if (_authorities is null)
            {
                return null;
            }

            // Authorities of one's own seldom publish which certificates they took back.
            var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            policy.CustomTrustStore.AddRange(_authorities);
            policy.ApplicationPolicy.Add(new Oid(ServerAuthentication));
            return policy;
        }
    }

    /// <summary>Whether a server's certificate is believed; in the form of a callback, for clients that take only that.</summary>
    /// <param name="sender">Not used.</param>
    /// <param name="certificate">The server's certificate.</param>
    /// <param name="chain">What else the server sent.</param>
    /// <param name="errors">What is wrong with it by the authorities of this machine.</param>
    public bool Believes(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors)
    {
        if (ChainPolicy is not { } policy || certificate is null || (errors & ~SslPolicyErrors.RemoteCertificateChainErrors) != SslPolicyErrors.None)
        {
            return errors == SslPolicyErrors.None && certificate is not null;
        }

        using var own = new X509Chain { ChainPolicy = policy };
        if (chain is not null)
        {
            policy.ExtraStore.AddRange(chain.ChainElements.Select(element => element.Certificate).ToArray());
        }

        using var server = new X509Certificate2(certificate);
        return own.Build(server);
    }
}
