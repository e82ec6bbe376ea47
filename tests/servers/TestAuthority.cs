using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using SplitFrozen.Contracts.Security;

namespace SplitFrozen.TestServers;

/// <summary>A certificate authority of one test, and a certificate by it for servers on loopback, as PEM files in a folder.</summary>
public sealed class TestAuthority : IDisposable
{
    private static readonly TimeSpan Validity = TimeSpan.FromDays(2);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("splitfrozen-authority-");

    /// <summary>Makes both.</summary>
    /// <param name="byAddress">Whether the certificate holds for 127.0.0.1 too, and not only for localhost.</param>
    public TestAuthority(bool byAddress = true)
    {
        var from = TimeProvider.System.GetUtcNow().AddDays(-1);
        using var authorityKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=SplitFrozen test authority", authorityKey, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, pathLengthConstraint: 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.DigitalSignature, critical: true));
        using var authority = request.CreateSelfSigned(from, from + Validity);
        using var serverKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var server = new CertificateRequest("CN=localhost", serverKey, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        if (byAddress)
        {
            names.AddIpAddress(IPAddress.Loopback);
        }

        names.AddDnsName("localhost");
        server.CertificateExtensions.Add(names.Build());
        server.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1")], critical: false));
        using var certificate = server.Create(authority, from, from + Validity, RandomNumberGenerator.GetBytes(12));
        File.WriteAllText(AuthorityFile, authority.ExportCertificatePem());
        File.WriteAllText(CertificateFile, certificate.ExportCertificatePem());
        File.WriteAllText(KeyFile, serverKey.ExportPkcs8PrivateKeyPem());
    }

    /// <summary>The authority's certificate.</summary>
    public string AuthorityFile => Path.Combine(_folder.FullName, "ca.pem");

    /// <summary>The servers' certificate.</summary>
    public string CertificateFile => Path.Combine(_folder.FullName, "server.pem");

    /// <summary>The servers' key.</summary>
    public string KeyFile => Path.Combine(_folder.FullName, "server.key");

    /// <summary>Whom a client of these servers believes.</summary>
    public CertificateTrust Trust => CertificateTrust.OfFile(AuthorityFile);

    /// <summary>Speaks TLS on a connection to one of the servers.</summary>
    internal async Task<Stream> SecureAsync(TcpClient client, CancellationToken cancellationToken)
    {
        var stream = new SslStream(client.GetStream(), leaveInnerStreamOpen: false, Trust.Believes);
        try
        {
            await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = "localhost" }, cancellationToken).ConfigureAwait(false);
            return stream;
        }
        catch
        {
            await stream.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _folder.Delete(recursive: true);
}
